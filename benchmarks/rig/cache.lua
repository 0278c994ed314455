-- What is a cache asked? One kind of load out of five; the result as wrk.lua gives it.
-- Arguments: the kind, a number that no other run has.
--   repeats    a dozen POSTs of about 1 KB in turn, byte for byte the same
--   spellings  the same dozen questions, each time with other white space and another `user`
--   many       1,000 POSTs in turn that ask for different things
--   misses     POSTs none of which is ever sent twice
--   get        a dozen GETs in turn
-- Lengths are the same each time, so that heads repeat as those of one client do.
dofile(debug.getinfo(1).source:match("@(.*/)") .. "wrk.lua")

local requests, heads, before, after, turn, run, kind = {}, {}, {}, {}, 0, "", ""
local SPACES = { " ", "\t", "\n", "\r" }

local function headers(i)
  return {
    ["Content-Type"] = "application/json",
    ["Authorization"] = "Bearer sk-bench-" .. string.rep(tostring(i), 20),
    ["User-Agent"] = "bench-client/1." .. i,
    ["Accept"] = "application/json",
  }
end

-- Two halves of a body of about 1 KB; what is put between them decides whether it was there before.
local function halves(i, opening)
  local model = ({ "bench-a", "bench-medium", "bench-quite-long-name" })[i % 3 + 1]
  local text = string.rep("The quick brown fox asks the model a question. ", 14 + 4 * (i % 3))
  return '{"model":"' .. model .. '","temperature":0,"max_tokens":256,' .. opening,
    '","messages":[{"role":"system","content":"You are a helpful assistant."},'
      .. '{"role":"user","content":"' .. text .. i .. '"}]}'
end

local function post(i, body)
  return wrk.format("POST", "/v1/chat/completions", headers(i), body)
end

function init(args)
  kind, run = args[1], args[2]
  if kind == "many" then
    for i = 1, 1000 do
      local first, second = halves(i % 12 + 1, '"stop":"')
      requests[i] = post(i % 12 + 1, first .. string.format("%04d", i) .. second)
    end
    return
  end
  for i = 1, 12 do
    if kind == "get" then
      local asked = { ["User-Agent"] = "bench-client/1." .. i, ["Accept"] = "application/json" }
      requests[i] = wrk.format("GET", "/v1/pages/" .. i, asked)
    else
      local first, second = halves(i, kind == "misses" and '"stop":"' or '"user":"')
      if kind == "repeats" then
        requests[i] = post(i, first .. second)
      else
        local whole = post(i, first .. string.rep("-", kind == "misses" and 18 or 19) .. second)
        local at = whole:find("-----", 1, true)
        before[i], after[i] = whole:sub(1, at - 1), second
      end
    end
  end
end

function request()
  turn = turn + 1
  local i = turn % 12 + 1
  if kind == "misses" then
    return before[i] .. string.format("%s%010d", run, turn) .. after[i]
  elseif kind == "spellings" then
    -- The white space stands behind the comma of `user`.
    return before[i] .. string.format("%s%010d", run, turn) .. '",' .. SPACES[turn % 4 + 1] .. after[i]:sub(3)
  end
  return requests[turn % #requests + 1]
end
