"""How is the gateway right now, to somebody at a terminal? `gateway top`, and `gateway status` for scripts.

`document` is what the admin side tells, `client` asks for it, `events` reads the stream of it. `rates` and
`history` make figures of successive documents; `view` is what somebody looks at, `frame` the lines of it (of
`columns`, `panels`, `lines` and `text`), without any terminal; `app` shows them in one. `options`, `run`,
`status` and `report` are the commands.
"""
