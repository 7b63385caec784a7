/**
 * The Lua behind the realtime log. What each life of Redis guarantees:
 *
 * - `floor` is the time at which this life began. A restart (another run_id) or lost data (no floor) begins a new one, since
 *   either may have cost the log its tail; cursors from before the floor are no longer believed.
 * - An id is the largest of last + 1, the time in microseconds and the floor: it only grows, also when all data was lost.
 * - `last` is the largest id of all topics. A cursor up to it is one that any topic's log knows, unless entries after it are gone
 *   from there: a log that begins after the cursor must begin with the topic's first event.
 * - A firehose entry's id is `{floor}-{n}`, n counting per shard without holes: a reader that was trimmed past sees it.
 * - Numbers are written by '%.0f', as Lua's own text of a number keeps 14 digits only.
 */
import { script } from './script';

export const FIREHOSE_SHARDS = 16;
/** Entries of a log that are read in one step, of those that may be too many bytes. */
const REPLAY_STEP = 16;

const COMMON = `
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
local function text(n) return string.format('%.0f', n) end
local function id_of(entry) return tonumber(string.match(entry[1], '^%d+')) end
local function last_of(log)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  return last and id_of(last) or 0
end
local function latest_of(meta) return tonumber(redis.call('HGET', meta, 'last') or '0') end
local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
end
local function begin_life(meta, run)
  local before = tonumber(redis.call('HGET', meta, 'floor') or '0')
  local floor = math.max(now(), before + 1)
  redis.call('HSET', meta, 'run', run, 'floor', text(floor))
  return floor
end
local function checked_floor(meta)
  local run = run_id()
  if redis.call('HGET', meta, 'run') ~= run then return begin_life(meta, run) end
  return tonumber(redis.call('HGET', meta, 'floor'))
end
local function quick_floor(meta)
  local floor = redis.call('HGET', meta, 'floor')
  return floor and tonumber(floor) or begin_life(meta, run_id())
end
`;

/**
 * KEYS: meta, seen, the firehose shards; then for each target its log and its end mark; the gate, where there is a turn.
 * ARGV: entries per shard, events remembered, expiry after the end (s), the turn or '', how long the gate is shut after it (ms),
 * bytes per shard, bytes per log;
 * then for each publication its event id ('' is always new), type, payload and number of targets, and for each target topic,
 * shard, entries kept, expiry (s), '1' if final.
 * Returns the ids given; nil if the turn is over. An event seen before is passed over; what is realtime only is
 * dropped once the topic has ended. The event id '-' is of what is told live only: it gets no id and is in no log.
 */
export const publishScript = script<number[] | null>(`${COMMON}
local meta, seen = KEYS[1], KEYS[2]
local end_ttl, turn = ARGV[3], ARGV[4]
if turn ~= '' then
  local gate = KEYS[#KEYS]
  if redis.call('GET', gate) ~= turn then return false end
  redis.call('SET', gate, turn, 'PX', ARGV[5])
end
local floor, latest = quick_floor(meta), latest_of(meta)
-- Kept by number, but of large ones fewer: what a stream holds is bounded by bytes too.
local function fitting(kept, bytes, payload)
  return math.min(tonumber(kept), math.max(16, math.floor(bytes / (#payload + 128))))
end
local function flow(shard, topic, id, type, payload)
  local n = redis.call('HINCRBY', meta, 'n' .. shard, 1)
  redis.call('XADD', KEYS[3 + shard], 'MAXLEN', '~', fitting(ARGV[1], ARGV[6], payload), text(floor) .. '-' .. n,
    'c', topic, 'i', id, 't', type, 'p', payload)
end
local ids, a, k = {}, 8, ${3 + FIREHOSE_SHARDS}
while a <= #ARGV do
  local event, type, payload, targets = ARGV[a], ARGV[a + 1], ARGV[a + 2], tonumber(ARGV[a + 3])
  a = a + 4
  local only_live = event == '-'
  local only_realtime = only_live or event == ''
  local fresh = only_realtime or not redis.call('ZSCORE', seen, event)
  for _ = 1, targets do
    local topic, shard, kept, ttl, final = ARGV[a], tonumber(ARGV[a + 1]), ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
    local log, mark = KEYS[k], KEYS[k + 1]
    a, k = a + 5, k + 2
    local ended = redis.call('EXISTS', mark) == 1
    if fresh and only_live and not ended then
      flow(shard, topic, '0', type, payload)
    elseif fresh and not (only_realtime and ended) then
      local id = math.max(last_of(log) + 1, latest + 1, now(), floor)
      latest = id
      redis.call('XADD', log, 'MAXLEN', '~', fitting(kept, ARGV[7], payload), text(id) .. '-0', 't', type, 'p', payload)
      if final == '1' then redis.call('SET', mark, text(id), 'EX', end_ttl, 'NX') end
      redis.call('EXPIRE', log, (ended or final == '1') and end_ttl or ttl)
      -- Else the log would outlive it, and nobody could tell that nothing comes any more.
      if ended then redis.call('EXPIRE', mark, end_ttl) end
      flow(shard, topic, text(id), type, payload)
      ids[#ids + 1] = id
    end
  end
  if fresh and not only_realtime then redis.call('ZADD', seen, text(now()), event) end
end
if #ids > 0 then redis.call('HSET', meta, 'last', text(latest)) end
redis.call('ZREMRANGEBYRANK', seen, 0, -(ARGV[2] + 1))
return ids
`);

/**
 * KEYS: meta, log, end mark. ARGV: '1' if the topic has ended, expiry (s), expiry after the end (s).
 * Returns the id of the log's last entry. An empty log gets an entry without type as an anchor, so that each cursor given out
 * is one the log knows; so does a topic that ended without the log knowing it (expired, or the relay is still behind).
 */
export const positionScript = script<number>(`${COMMON}
local meta, log, mark, final = KEYS[1], KEYS[2], KEYS[3], ARGV[1] == '1'
local floor = checked_floor(meta)
local last = last_of(log)
local ended = redis.call('EXISTS', mark) == 1
if last >= floor and (ended or not final) then return last end
local id = math.max(last + 1, latest_of(meta) + 1, now(), floor)
redis.call('HSET', meta, 'last', text(id))
redis.call('XADD', log, text(id) .. '-0', 't', '', 'p', '')
if final then redis.call('SET', mark, text(id), 'EX', ARGV[3]) end
redis.call('EXPIRE', log, (final or ended) and ARGV[3] or ARGV[2])
return id
`);

/** KEYS: meta. Returns a cursor that goes for every topic: whatever comes from now on has a larger id. */
export const latestScript = script<number>(`${COMMON}
return math.max(checked_floor(KEYS[1]), latest_of(KEYS[1]))
`);

/**
 * KEYS: meta, log, end mark. ARGV: cursor, entries at most, bytes after which none is added, the type of event before which
 * there is nothing of the topic ('' where there is none such). Returns 'lost', 'ended', or the entries after the cursor, and 1
 * if there may be more. A cursor is known if it is from this life, not larger than any id, and nothing after it is gone from the
 * log.
 */
export const replayScript = script<'lost' | 'ended' | [more: number, entries: StreamEntry[]]>(`${COMMON}
local meta, log, mark, cursor = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1])
local most, bytes_max, opening = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local floor = checked_floor(meta)
local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
if cursor < floor or not first or cursor > math.max(last_of(log), latest_of(meta), floor) then return 'lost' end
if cursor < id_of(first) and (opening == '' or first[2][2] ~= opening) then return 'lost' end
local ended = redis.call('GET', mark)
if ended and cursor >= tonumber(ended) then return 'ended' end
local entries, bytes, last = {}, 0, cursor
repeat
  local some = redis.call('XRANGE', log, text(last + 1) .. '-0', '+', 'COUNT', math.min(${REPLAY_STEP}, most - #entries))
  for _, entry in ipairs(some) do
    entries[#entries + 1] = entry
    bytes, last = bytes + #entry[2][4], id_of(entry)
    if bytes >= bytes_max or #entries == most then return { 1, entries } end
  end
until #some < ${REPLAY_STEP}
return { 0, entries }
`);

/**
 * KEYS: gate. ARGV: the turn, how long it lasts (ms). Returns the turn that the gate has now, and how much longer (ms): the one
 * that was asked for if it was open.
 */
export const claimTurnScript = script<[turn: string, leftMs: number]>(`
local holder = redis.call('GET', KEYS[1])
if holder then return { holder, redis.call('PTTL', KEYS[1]) } end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return { ARGV[1], tonumber(ARGV[2]) }
`);

/** KEYS: meta. Returns the floor, then each shard's count so far: `{floor}-{n}` is where a new reader starts. */
export const headsScript = script<string[]>(`${COMMON}
local heads = { text(checked_floor(KEYS[1])) }
for shard = 0, ${FIREHOSE_SHARDS - 1} do
  heads[#heads + 1] = redis.call('HGET', KEYS[1], 'n' .. shard) or '0'
end
return heads
`);

/** As Redis gives it: id, then field and value in turn. */
export type StreamEntry = [id: string, fields: string[]];
