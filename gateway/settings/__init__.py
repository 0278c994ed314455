"""What may stand in the configuration file, and what does the program make of it?

`quantities` reads durations, sizes and shares; `fields` the kinds of value; `schema`, `pools` and
`routes` are the keys (their docstrings are the manual); `nodes` and `environment` turn YAML and
variables into data; `checks` finds combinations that cannot work; `load` puts it all together.
"""
