//! Keyspace events: what happened to a key, by class.

/// An event and its class (a bit of `notify-keyspace-events`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The class's bit, as in [`crate::config::NotifyFlags`].
    pub class: u16,
    /// The name that subscribers see.
    pub name: &'static str,
}

const GENERIC: u16 = 1 << 2;
const STRING: u16 = 1 << 3;
const LIST: u16 = 1 << 4;
const SET: u16 = 1 << 5;
const HASH: u16 = 1 << 6;
const SORTED_SET: u16 = 1 << 7;
const EXPIRED: u16 = 1 << 8;
const EVICTED: u16 = 1 << 9;
const STREAM: u16 = 1 << 10;
const KEY_MISS: u16 = 1 << 11;
const NEW: u16 = 1 << 14;
const OVERWRITTEN: u16 = crate::config::NotifyFlags::OVERWRITTEN;
const TYPE_CHANGED: u16 = crate::config::NotifyFlags::TYPE_CHANGED;

const fn event(class: u16, name: &'static str) -> Event {
    Event { class, name }
}

#[allow(missing_docs)]
impl Event {
    pub const DEL: Self = event(GENERIC, "del");
    pub const EXPIRE: Self = event(GENERIC, "expire");
    pub const PERSIST: Self = event(GENERIC, "persist");
    pub const RENAME_FROM: Self = event(GENERIC, "rename_from");
    pub const RENAME_TO: Self = event(GENERIC, "rename_to");
    pub const MOVE_FROM: Self = event(GENERIC, "move_from");
    pub const MOVE_TO: Self = event(GENERIC, "move_to");
    pub const COPY_TO: Self = event(GENERIC, "copy_to");
    pub const RESTORE: Self = event(GENERIC, "restore");
    pub const KEY_MISS: Self = event(KEY_MISS, "keymiss");
    pub const EXPIRED: Self = event(EXPIRED, "expired");
    pub const EVICTED: Self = event(EVICTED, "evicted");
    pub const NEW: Self = event(NEW, "new");
    pub const OVERWRITTEN: Self = event(OVERWRITTEN, "overwritten");
    pub const TYPE_CHANGED: Self = event(TYPE_CHANGED, "type_changed");
    pub const SET: Self = event(STRING, "set");
    pub const APPEND: Self = event(STRING, "append");
    pub const SETRANGE: Self = event(STRING, "setrange");
    pub const PFADD: Self = event(STRING, "pfadd");
    pub const SETBIT: Self = event(STRING, "setbit");
    pub const INCRBY: Self = event(STRING, "incrby");
    pub const DECRBY: Self = event(STRING, "decrby");
    pub const INCRBYFLOAT: Self = event(STRING, "incrbyfloat");
    pub const XADD: Self = event(STREAM, "xadd");
    pub const XTRIM: Self = event(STREAM, "xtrim");
    pub const XDEL: Self = event(STREAM, "xdel");
    pub const XSETID: Self = event(STREAM, "xsetid");
    pub const XGROUP_CREATE: Self = event(STREAM, "xgroup-create");
    pub const XGROUP_CREATECONSUMER: Self = event(STREAM, "xgroup-createconsumer");
    pub const XGROUP_DELCONSUMER: Self = event(STREAM, "xgroup-delconsumer");
    pub const XGROUP_DESTROY: Self = event(STREAM, "xgroup-destroy");
    pub const XGROUP_SETID: Self = event(STREAM, "xgroup-setid");
    pub const LPUSH: Self = event(LIST, "lpush");
    pub const RPUSH: Self = event(LIST, "rpush");
    pub const LPOP: Self = event(LIST, "lpop");
    pub const LSET: Self = event(LIST, "lset");
    pub const LINSERT: Self = event(LIST, "linsert");
    pub const LREM: Self = event(LIST, "lrem");
    pub const SORTSTORE: Self = event(LIST, "sortstore");
    pub const LTRIM: Self = event(LIST, "ltrim");
    pub const RPOP: Self = event(LIST, "rpop");
    pub const SADD: Self = event(SET, "sadd");
    pub const SREM: Self = event(SET, "srem");
    pub const SPOP: Self = event(SET, "spop");
    pub const SINTERSTORE: Self = event(SET, "sinterstore");
    pub const SUNIONSTORE: Self = event(SET, "sunionstore");
    pub const SDIFFSTORE: Self = event(SET, "sdiffstore");
    pub const ZADD: Self = event(SORTED_SET, "zadd");
    pub const ZINCR: Self = event(SORTED_SET, "zincr");
    pub const ZREM: Self = event(SORTED_SET, "zrem");
    pub const ZREMBYRANK: Self = event(SORTED_SET, "zremrangebyrank");
    pub const ZREMBYSCORE: Self = event(SORTED_SET, "zremrangebyscore");
    pub const ZREMBYLEX: Self = event(SORTED_SET, "zremrangebylex");
    pub const ZPOPMIN: Self = event(SORTED_SET, "zpopmin");
    pub const ZPOPMAX: Self = event(SORTED_SET, "zpopmax");
    pub const ZRANGESTORE: Self = event(SORTED_SET, "zrangestore");
    pub const ZUNIONSTORE: Self = event(SORTED_SET, "zunionstore");
    pub const ZINTERSTORE: Self = event(SORTED_SET, "zinterstore");
    pub const GEORADIUSSTORE: Self = event(SORTED_SET, "georadiusstore");
    pub const GEOSEARCHSTORE: Self = event(SORTED_SET, "geosearchstore");
    pub const ZDIFFSTORE: Self = event(SORTED_SET, "zdiffstore");
    pub const HSET: Self = event(HASH, "hset");
    pub const HDEL: Self = event(HASH, "hdel");
    pub const HINCRBY: Self = event(HASH, "hincrby");
    pub const HINCRBYFLOAT: Self = event(HASH, "hincrbyfloat");
    pub const HEXPIRE: Self = event(HASH, "hexpire");
    pub const HEXPIRED: Self = event(HASH, "hexpired");
    pub const HPERSIST: Self = event(HASH, "hpersist");
}
