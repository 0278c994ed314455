-- What does one chat client send? A dozen POSTs whose bodies, lengths and credentials differ, in turn; the result as JSON.
-- Arguments: the delay in microseconds the mock is asked for (0: none); "traced" for a traceparent and an
-- X-Request-ID of its own on every request.
local requests, turn, sent = {}, 0, 0
local TRACE, ID = "00-" .. string.rep("0", 32) .. "-" .. string.rep("0", 16) .. "-01", string.rep("i", 16)

-- A function that writes the request anew, with the next number in both fields.
function cut(text)
  local function around(piece, what)
    local from, to = piece:find(what, 1, true)
    return piece:sub(1, from - 1), piece:sub(to + 1)
  end
  local first, second = TRACE, ID
  if text:find(ID, 1, true) < text:find(TRACE, 1, true) then first, second = ID, TRACE end
  local before, rest = around(text, first)
  local between, after = around(rest, second)
  return function()
    sent = sent + 1
    local number = string.format("%016x", sent)
    local trace = "00-" .. number .. number .. "-" .. number .. "-01"
    if first == TRACE then return before .. trace .. between .. number .. after end
    return before .. number .. between .. trace .. after
  end
end

function init(args)
  local delay = args[1] or "0"
  for i = 1, 12 do
    local model = ({ "bench-a", "bench-medium", "bench-quite-long-name" })[i % 3 + 1]
    local text = string.rep("The quick brown fox asks the model a question. ", 14 + 4 * (i % 3))
    local body = '{"model":"' .. model .. '","temperature":0.7,"max_tokens":256,"messages":['
      .. '{"role":"system","content":"You are a helpful assistant."},'
      .. '{"role":"user","content":"' .. text .. i .. '"}]}'
    local headers = {
      ["Content-Type"] = "application/json",
      ["Authorization"] = "Bearer sk-bench-" .. string.rep(tostring(i), 20),
      ["User-Agent"] = "bench-client/1." .. i,
      ["Accept"] = "application/json",
    }
    if args[2] == "traced" then headers["traceparent"], headers["X-Request-ID"] = TRACE, ID end
    if delay ~= "0" then headers["X-Mock-Delay"] = delay end
    local text_of = wrk.format("POST", "/v1/chat/completions", headers, body)
    requests[i] = args[2] == "traced" and cut(text_of) or text_of
  end
end

function request()
  turn = turn % #requests + 1
  local next_one = requests[turn]
  return type(next_one) == "function" and next_one() or next_one
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p99_ms":%.4f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
