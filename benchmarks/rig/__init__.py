"""What do the benchmarks share? Mock, load, candidates, /proc figures, rounds and tables.

candidate   one way from client to mock: a proxy with one set of settings, or `direct`
round       every candidate once, freshly started, in an order that shifts by one from round to round
sample      what one candidate showed in one round: named figures
ratio       a sample's figure divided by that of the base candidate in the *same* round
"""
