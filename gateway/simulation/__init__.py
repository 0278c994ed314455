"""How would the gateway fare? An event-driven, seeded simulator that runs the production code.

    engine, schedule                  what happens next; how fast a machine is when
    machines, slots, batching         what model servers do with what they are sent
    clients, sockets                  what stands in for the connections of both sides
    task, workload                    who asks for what, when
    scenario, builtin, reading        all of it as data: what can be said, what is there, what a file says
    fleet, world                      machines behind real gateways, clients in front, and time
    references                        policies that know what no gateway can know
    replay                            an access log as a scenario
    statistics, comparison, report, plot    what came out, whether it differs, and how it is shown

A *task* is what a client asks for, a *job* one attempt at it on a *machine*, a simulated model server with
so many *places* for jobs: slots, or streams of a batch.
"""
