"""What does the shoot-out consist of? Model servers, faults, a schedule of requests, peers, figures.

work        what a request costs at a backend of speed 1; drawn with the schedule, written into the request,
            so that every candidate is given the same
engine      how a backend works its requests off: in slots, or in a continuous batch
event       a change of one backend at a moment of the round: slower, hung, failing, down, back
scenario    backends, load and events; the same for every candidate in a round
candidate   one proxy with one set of settings
"""
