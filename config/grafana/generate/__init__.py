"""What do Grafana's boards show? Declared here on the table of series, built with Grafana's own SDK.

`make docs` writes `config/grafana/dashboards/` from it. It needs what `pip install '.[dev]'` brings; to run
a gateway none of that is needed.
"""
