-- What does one chat client send? A dozen POSTs whose bodies, lengths and credentials differ, in turn; the result as JSON.
-- Arguments: the delay in microseconds the mock is asked for (0: none).
local requests, turn = {}, 0

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
    if delay ~= "0" then headers["X-Mock-Delay"] = delay end
    requests[i] = wrk.format("POST", "/v1/chat/completions", headers, body)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p99_ms":%.4f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
