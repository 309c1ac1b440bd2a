-- One write to one node: all of it, or nothing, and the second time nothing.
--
-- KEYS  1 epoch of the newest hub    2 ids of all nodes (set)
--       3 the node (hash: boot_id, seq, record)    4 its chunks (list, oldest first)
-- ARGV  1 this hub's epoch    2 node id    3 time to live, ms (0: for good)    4 '1': begin anew
--       5, 6 position that the hub takes for stored    7, 8 newest    9, 10 oldest    11 record ('': as it is)
--       from 12 on, three for each chunk: boot_id, seq, item
--
-- A position is two decimal numbers (boot_id, seq) of up to 19 digits: they are compared as text, because Lua's
-- numbers are doubles and cannot tell two such numbers apart.
--
-- Returns OK, or the error FENCED (another hub has taken over) or LOST (less is stored than was confirmed).

local function below(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

local function before(boot_a, seq_a, boot_b, seq_b)
  if boot_a == boot_b then return below(seq_a, seq_b) end
  return below(boot_a, boot_b)
end

local epoch_key, nodes, node, chunks = unpack(KEYS)
local epoch, node_id, ttl_ms, anew = unpack(ARGV, 1, 4)
local after_boot, after_seq, newest_boot, newest_seq, oldest_boot, oldest_seq, record = unpack(ARGV, 5, 11)

local ruling = redis.call('GET', epoch_key) or '0'
if below(epoch, ruling) then return redis.error_reply('FENCED ' .. ruling) end
if anew == '1' then
  redis.call('DEL', node, chunks)
  redis.call('SREM', nodes, node_id)
  redis.call('SET', epoch_key, epoch)
elseif ruling ~= epoch then
  return redis.error_reply('LOST the epoch is ' .. ruling)
end

local boot = redis.call('HGET', node, 'boot_id') or '0'
local seq = redis.call('HGET', node, 'seq') or '0'
if before(boot, seq, after_boot, after_seq) then
  return redis.error_reply('LOST ' .. node_id .. ' is at ' .. boot .. '/' .. seq)
end

for i = 12, #ARGV, 3 do
  if before(boot, seq, ARGV[i], ARGV[i + 1]) then redis.call('RPUSH', chunks, ARGV[i + 2]) end
end
if before(boot, seq, newest_boot, newest_seq) then
  redis.call('HSET', node, 'boot_id', newest_boot, 'seq', newest_seq)
end
local first = redis.call('LINDEX', chunks, 0)
while first do
  local first_boot, first_seq = string.match(first, '^(%d+) (%d+) ')
  if not before(first_boot, first_seq, oldest_boot, oldest_seq) then break end
  redis.call('LPOP', chunks)
  first = redis.call('LINDEX', chunks, 0)
end
if record ~= '' then redis.call('HSET', node, 'record', record) end

if redis.call('EXISTS', node) == 1 then redis.call('SADD', nodes, node_id) end
if ttl_ms ~= '0' then
  redis.call('PEXPIRE', node, ttl_ms)
  redis.call('PEXPIRE', chunks, ttl_ms)
end
return redis.status_reply('OK')
