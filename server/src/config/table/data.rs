//! Memory, eviction, freeing, encodings, and what can be observed.

use super::{INT_MAX, LONG_MAX, field, memory, plain};
use crate::config::directive::{Apply, Directive, Rewrite, Special};
use crate::config::{EvictionPolicy, special};

pub(super) const MEMORY: &[Directive] = &[
    Directive::number(
        "maxmemory",
        0,
        memory(0, u64::MAX as i128),
        field!(number max_memory),
        "Bytes of data to keep at most; 0 means no limit.",
    )
    .apply(Apply::MaxMemory),
    Directive::choice(
        "maxmemory-policy",
        EvictionPolicy::Noeviction as u32,
        EvictionPolicy::CHOICES,
        field!(choice max_memory_policy: EvictionPolicy),
        "What to evict when the limit is reached: keys with an expiry (volatile-) or all, the least recently used (lru), \
         modified (lrm) or least frequently used (lfu) ones, random ones, or those that expire first (ttl).",
    )
    .apply(Apply::MaxMemory),
    Directive::number(
        "maxmemory-samples",
        5,
        plain(1, INT_MAX),
        field!(number max_memory_samples),
        "Keys to compare for each eviction: more is more exact and slower.",
    ),
    Directive::number(
        "maxmemory-eviction-tenacity",
        10,
        plain(0, 100),
        field!(number max_memory_eviction_tenacity),
        "How much latency eviction may cost, from 0 (least) to 100.",
    ),
    Directive::number(
        "lfu-log-factor",
        10,
        plain(0, INT_MAX),
        field!(number lfu_log_factor),
        "How slowly the counter of uses grows.",
    )
    .apply(Apply::MaxMemory),
    Directive::number(
        "lfu-decay-time",
        1,
        plain(0, INT_MAX),
        field!(number lfu_decay_time),
        "Minutes after which it is lowered.",
    )
    .apply(Apply::MaxMemory),
    Directive::yes_no(
        "activedefrag",
        false,
        field!(bool active_defrag),
        "Move what lies in half-empty pages together while the server runs.",
    ),
    Directive::number(
        "active-defrag-ignore-bytes",
        100 << 20,
        memory(1, LONG_MAX),
        field!(number active_defrag_ignore_bytes),
        "Fragmented bytes that are not worth it.",
    ),
    Directive::number(
        "active-defrag-threshold-lower",
        10,
        plain(0, 1000),
        field!(number active_defrag_threshold_lower),
        "Percent of fragmentation at which to begin.",
    ),
    Directive::number(
        "active-defrag-threshold-upper",
        100,
        plain(0, 1000),
        field!(number active_defrag_threshold_upper),
        "Percent of fragmentation at which to try hardest.",
    ),
    Directive::number(
        "active-defrag-cycle-min",
        1,
        plain(1, 99),
        field!(number active_defrag_cycle_min),
        "Percent of a processor at the least.",
    ),
    Directive::number(
        "active-defrag-cycle-max",
        25,
        plain(1, 99),
        field!(number active_defrag_cycle_max),
        "Percent of a processor at the most.",
    ),
    Directive::number(
        "active-defrag-max-scan-fields",
        1000,
        plain(1, LONG_MAX),
        field!(number active_defrag_max_scan_fields),
        "Bigger collections are done piece by piece.",
    ),
    Directive::yes_no(
        "jemalloc-bg-thread",
        true,
        field!(bool jemalloc_bg_thread),
        "Let the allocator return memory in the background.",
    )
    .apply(Apply::AllocatorThreads),
];

pub(super) const FREEING: &[Directive] = &[
    Directive::number(
        "active-expire-effort",
        1,
        plain(1, 10),
        field!(number active_expire_effort),
        "How much time a busy server gives to deleting expired keys: from a third, at 1, to a half, at 10.",
    ),
    Directive::yes_no(
        "import-mode",
        false,
        field!(bool import_mode),
        "Neither delete what has expired nor evict, while a tool imports data that changes meanwhile. Its connections \
         (CLIENT IMPORT-SOURCE ON) see expired keys as if they lived.",
    ),
    Directive::yes_no(
        "activerehashing",
        true,
        None,
        "Accepted for older configurations: tables grow and shrink in small steps by themselves.",
    )
    .accepted(),
    Directive::yes_no(
        "lazyfree-lazy-eviction",
        true,
        field!(bool lazyfree_lazy_eviction),
        "Free evicted values in the background.",
    ),
    Directive::yes_no(
        "lazyfree-lazy-expire",
        true,
        field!(bool lazyfree_lazy_expire),
        "Free expired values in the background.",
    ),
    Directive::yes_no(
        "lazyfree-lazy-server-del",
        true,
        field!(bool lazyfree_lazy_server_del),
        "Free values that a command replaces (RENAME, SET ...) in the background.",
    ),
    Directive::yes_no(
        "lazyfree-lazy-user-del",
        true,
        field!(bool lazyfree_lazy_user_del),
        "Let DEL do what UNLINK does.",
    ),
    Directive::yes_no(
        "lazyfree-lazy-user-flush",
        true,
        field!(bool lazyfree_lazy_user_flush),
        "Let FLUSHALL and FLUSHDB free in the background unless told otherwise.",
    ),
];

pub(super) const ENCODINGS: &[Directive] = &[
    Directive::number(
        "list-max-listpack-size",
        -2,
        plain(i32::MIN as i128, INT_MAX),
        field!(number list_max_listpack_size),
        "Size of a list's nodes: a positive number counts elements, -1 to -5 stand for 4, 8, 16, 32 and 64 KB.",
    )
    .alias("list-max-ziplist-size"),
    Directive::number(
        "list-compress-depth",
        0,
        plain(0, INT_MAX),
        field!(number list_compress_depth),
        "Nodes at each end of a list that stay uncompressed; 0 compresses none.",
    ),
    Directive::number(
        "hash-max-listpack-entries",
        512,
        plain(0, LONG_MAX),
        field!(number hash_max_listpack_entries),
        "Fields up to which a hash is one compact block.",
    )
    .alias("hash-max-ziplist-entries"),
    Directive::number(
        "hash-max-listpack-value",
        64,
        memory(0, LONG_MAX),
        field!(number hash_max_listpack_value),
        "Longest field or value in such a block, bytes.",
    )
    .alias("hash-max-ziplist-value"),
    Directive::number(
        "set-max-intset-entries",
        512,
        plain(0, LONG_MAX),
        field!(number set_max_intset_entries),
        "Members up to which a set of integers is one sorted block.",
    ),
    Directive::number(
        "set-max-listpack-entries",
        128,
        plain(0, LONG_MAX),
        field!(number set_max_listpack_entries),
        "Members up to which any other set is one compact block.",
    ),
    Directive::number(
        "set-max-listpack-value",
        64,
        plain(0, LONG_MAX),
        field!(number set_max_listpack_value),
        "Longest member in such a block, bytes.",
    ),
    Directive::number(
        "zset-max-listpack-entries",
        128,
        plain(0, LONG_MAX),
        field!(number zset_max_listpack_entries),
        "Members up to which a sorted set is one compact block.",
    )
    .alias("zset-max-ziplist-entries"),
    Directive::number(
        "zset-max-listpack-value",
        64,
        memory(0, LONG_MAX),
        field!(number zset_max_listpack_value),
        "Longest member in such a block, bytes.",
    )
    .alias("zset-max-ziplist-value"),
    Directive::number(
        "hll-sparse-max-bytes",
        3000,
        memory(0, LONG_MAX),
        field!(number hll_sparse_max_bytes),
        "Bytes up to which a HyperLogLog stays sparse.",
    ),
    Directive::number(
        "stream-node-max-bytes",
        4096,
        memory(0, LONG_MAX),
        field!(number stream_node_max_bytes),
        "Bytes in one node of a stream; 0 means no limit.",
    ),
    Directive::number(
        "stream-node-max-entries",
        100,
        plain(0, LONG_MAX),
        field!(number stream_node_max_entries),
        "Entries in one node of a stream; 0 means no limit.",
    ),
    Directive::number(
        "stream-idmp-duration",
        100,
        plain(1, 86_400),
        field!(number stream_idmp_duration),
        "Seconds for which a stream remembers what a producer sent, unless XCFGSET says otherwise.",
    ),
    Directive::number(
        "stream-idmp-maxsize",
        100,
        plain(1, 10_000),
        field!(number stream_idmp_maxsize),
        "Entries of one producer that it remembers at most.",
    ),
];

pub(super) const OBSERVATION: &[Directive] = &[
    Directive::number(
        "slowlog-log-slower-than",
        10_000,
        plain(-1, LONG_MAX),
        field!(number slowlog_log_slower_than),
        "Commands that take this many microseconds go to the slow log; -1 means none.",
    )
    .also("commandlog-execution-slower-than"),
    Directive::number(
        "slowlog-max-len",
        128,
        plain(0, LONG_MAX),
        field!(number slowlog_max_len),
        "Entries that the slow log keeps.",
    )
    .also("commandlog-slow-execution-max-len"),
    Directive::number(
        "commandlog-request-larger-than",
        1 << 20,
        plain(-1, LONG_MAX),
        field!(number commandlog_request_larger_than),
        "Commands whose request has this many bytes are logged; -1 means none.",
    ),
    Directive::number(
        "commandlog-large-request-max-len",
        128,
        plain(0, LONG_MAX),
        field!(number commandlog_large_request_max_len),
        "Entries that the log of large requests keeps.",
    ),
    Directive::number(
        "commandlog-reply-larger-than",
        1 << 20,
        plain(-1, LONG_MAX),
        field!(number commandlog_reply_larger_than),
        "Commands whose reply has this many bytes are logged; -1 means none.",
    ),
    Directive::number(
        "commandlog-large-reply-max-len",
        128,
        plain(0, LONG_MAX),
        field!(number commandlog_large_reply_max_len),
        "Entries that the log of large replies keeps.",
    ),
    Directive::number(
        "latency-monitor-threshold",
        0,
        plain(0, LONG_MAX),
        field!(number latency_monitor_threshold),
        "Events that take this many milliseconds are sampled; 0 means none.",
    ),
    Directive::yes_no(
        "latency-tracking",
        true,
        field!(bool latency_tracking),
        "Keep a histogram of execution times for each command.",
    ),
    Directive::special(
        "latency-tracking-info-percentiles",
        Special {
            default: "50 99 99.9",
            many: true,
            set: special::set_percentiles,
            get: special::get_percentiles,
            begin: special::nothing,
            rewrite: Rewrite::Plain,
        },
        "Percentiles of these histograms that INFO latencystats shows.",
    ),
    Directive::special(
        "notify-keyspace-events",
        Special {
            default: "",
            many: false,
            set: special::set_notify,
            get: special::get_notify,
            begin: special::nothing,
            rewrite: Rewrite::Quoted,
        },
        "Events to publish: K and E choose the channels, the other letters out of g$lshzxetdmnA the events.",
    ),
    Directive::number(
        "tracking-table-max-keys",
        1_000_000,
        plain(0, LONG_MAX),
        field!(number tracking_table_max_keys),
        "Keys that client-side caching remembers at most; 0 means no limit.",
    ),
];
