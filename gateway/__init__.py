"""What the gateway's words mean.

listener    accepts client connections
route       a match on a request, leading to a pool and its rules
pool        a named set of backends under one balancing policy
backend     one model-serving process
policy      chooses one backend among the candidates
candidate   a backend that is allowed to take work right now
lease       one attempt's hold on a backend, closed exactly once
attempt     one send of a request to a backend
outcome     how an attempt ended
probe       one active health check
ejection    removal of a backend because of what its traffic showed
draining    no new work; what is in flight finishes
reply       what the client gets

*Downstream* is the client's direction, *upstream* the backend's; neither is a noun here.
"""

__version__ = "0.1.0"
