-- What scripts see of Lua, on top of stock 5.1: run once, with the host's functions as arguments.
-- Returns the environment of scripts, the table that backs it, and the function that runs a script.
local host = ...

local error, type, tostring, tonumber, select = error, type, tostring, tonumber, select
local rawset, rawget, setmetatable, getmetatable = rawset, rawget, setmetatable, getmetatable
local raw_pcall, raw_xpcall, raw_unpack = pcall, xpcall, unpack
local locked = setmetatable({}, { __mode = "k" })

local function readonly()
  error("Attempt to modify a readonly table", 2)
end

-- An empty table in front of `contents`: reads go through, writes fail. 5.1 has no read-only tables.
local function lock(contents)
  local front = setmetatable({}, { __index = contents, __newindex = readonly, __metatable = false })
  locked[front] = true
  return front
end

-- unpack(t, 0, 2^31-1) crashes stock 5.1.5 (CVE-2025-46817): the number of results is checked first.
local function safe_unpack(list, first, last)
  first, last = tonumber(first or 1), tonumber(last or #list)
  if not first or not last or not (last - first < 7999) or not (first > -2^31 and last < 2^31) then
    error("too many results to unpack", 2)
  end
  return raw_unpack(list, first, last)
end

-- Patterns recurse on the C stack by their length: it is bounded.
local LONGEST_PATTERN = 10000
local function bounded(match)
  return function(subject, pattern, ...)
    if type(pattern) == "string" and #pattern > LONGEST_PATTERN then
      error("pattern too complex", 2)
    end
    return match(subject, pattern, ...)
  end
end
for _, name in ipairs({ "find", "match", "gmatch", "gsub" }) do
  string[name] = bounded(string[name])
end
string.gfind = nil
string.dump = nil

-- A failed redis.call reads as its text, as in Redis 7.
local function settle(ok, ...)
  if not ok then
    local failure = ...
    if type(failure) == "table" and type(rawget(failure, "err")) == "string" then
      return false, rawget(failure, "err")
    end
  end
  return ok, ...
end

-- Replies (failed, value); the host makes a C function of it that raises the failure (see `host.raising`).
local function refuse_locked(change)
  return host.raising(function(target, ...)
    if locked[target] then
      return true, { err = "ERR Attempt to modify a readonly table" }
    end
    return false, change(target, ...)
  end)
end

local redis = {}
for name, value in pairs(host.constants) do
  redis[name] = value
end
redis.call = host.raising(host.call)
function redis.pcall(...)
  local _, reply = host.call(...)
  return reply
end
redis.sha1hex = host.raising(host.sha1hex)
redis.log = host.raising(host.log)
redis.setresp = host.raising(host.setresp)
redis.error_reply = host.error_reply
redis.status_reply = host.status_reply
function redis.replicate_commands()
  return true
end
function redis.breakpoint()
  return false
end

local visible = {
  _VERSION = _VERSION, assert = assert, collectgarbage = collectgarbage, error = error, gcinfo = gcinfo,
  ipairs = ipairs, next = next, pairs = pairs, rawequal = rawequal, rawget = rawget,
  select = select, setmetatable = refuse_locked(setmetatable), tonumber = tonumber, tostring = tostring, type = type,
  xpcall = raw_xpcall, coroutine = lock(coroutine), unpack = safe_unpack, rawset = refuse_locked(rawset),
  string = lock(string), table = lock(table), math = lock(math), os = lock({ clock = host.clock }),
  redis = lock(redis),
  pcall = function(...) return settle(raw_pcall(...)) end,
  -- What makes a table read-only is nobody's business.
  getmetatable = function(...)
    if locked[(...)] then
      return nil
    end
    return getmetatable(...)
  end,
}
visible.server = visible.redis
for name, library in pairs(host.libraries) do
  visible[name] = lock(library)
end
setmetatable(visible, { __index = function(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end })
-- Methods of strings work, but nobody reaches the table behind them.
local strings = getmetatable("")
strings.__index = string
strings.__metatable = lock({})

local environment = lock(visible)
rawset(visible, "_G", environment)

function visible.loadstring(text, name)
  return host.compile(text, name or text, environment)
end
function visible.load(reader, name)
  local parts = {}
  while true do
    local part = reader()
    if part == nil or part == "" then
      break
    end
    parts[#parts + 1] = part
  end
  return host.compile(table.concat(parts), name or "=(load)", environment)
end

-- Turns what a script raised into a table that says where.
local function explain(failure)
  if type(failure) ~= "table" then
    failure = { err = "ERR " .. tostring(failure) }
  end
  host.locate(failure)
  return failure
end

return environment, visible, function(script)
  return raw_xpcall(script, explain)
end
