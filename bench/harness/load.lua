-- Configuration of wrk: PIPELINE requests per batch, and the result as one line of JSON.
local depth = tonumber(os.getenv("PIPELINE") or "1")

if depth > 1 then
  local batch

  function init(args)
    local requests = {}
    for i = 1, depth do
      requests[i] = wrk.format()
    end
    batch = table.concat(requests)
  end

  function request()
    return batch
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "us": %d, "failed": %d, "p50_us": %d, "p99_us": %d, "max_us": %d}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
