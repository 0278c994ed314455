"""What has happened, and who can see it? Metrics, access log, recent decisions, the program's own log.

`metrics` and `exposition` are `/metrics`; `access_log` a line per request; `decisions` why requests went
where they went; `logs` and `repeats` the program's messages; `lag` the event loop's health; `observer` ties
the first three to the proxy; `writer` and `text` are what the logs share.
"""
