"""How do means, shares and percentiles come of counters? By formulas that Zabbix calculates."""

from gateway.telemetry.zabbix.items import Calculated, Item, Read


def over(part: str, *whole: str, factor: int = 1, nothing: int = -1) -> str:
    """`factor` * part / whole (the sum of some) over five minutes; `nothing` where there was no whole."""
    sum_of = "+".join(f"avg({{{key}}},5m)" for key in whole)
    sum_of = f"({sum_of})" if len(whole) > 1 else sum_of
    above = f"{factor}*avg({{{part}}},5m)" if factor != 1 else f"avg({{{part}}},5m)"
    above = f"({above}{nothing:+}*({sum_of}=0))" if nothing else above
    return f"{above}/({sum_of}+({sum_of}=0))"


def mean(key: str, name: str, series: str) -> tuple[Item, Item, Item]:
    """The mean of a histogram: its sum and count per second, and what comes out."""
    total, count = f"{key}.sum.rate", f"{key}.count.rate"
    return (
        Item(total, f"{name}, sum per second", Read(f"{series}_sum", "rate")),
        Item(count, f"{name}, number per second", Read(f"{series}_count", "rate"), "/s"),
        Item(f"{key}.mean", f"{name}, mean", Calculated(over(total, count), "Mean of five minutes."), "s"),
    )


def percentile(key: str, name: str, buckets: str, percent: int) -> Item:
    formula = f"bucket_percentile({{buckets {buckets}}},5m,{percent})"
    says = (
        f"{percent}th percentile of five minutes: as exact as the buckets, each twice the one before or more."
    )
    return Item(f"{key}.p{percent}", f"{name}, {percent}th percentile", Calculated(formula, says), "s")


def share(key: str, name: str, part: str, *whole: str) -> Item:
    says = "Percent, over five minutes; 0 while nobody asks."
    return Item(key, name, Calculated(over(part, *whole, factor=100, nothing=0), says), "%")


def busy(key: str, rate: str) -> Item:
    """How much was asked: what has no value while nothing is, is not judged when it was little."""
    says = "Mean of five minutes; with little of it, nothing is judged."
    return Item(key, "Requests per second, five minutes", Calculated(f"avg({{{rate}}},5m)", says), "/s")


def per_latency(key: str, count: str, mean: str) -> Item:
    says = "Requests per second for each second of mean latency; compare like with like."
    return Item(key, "Throughput / latency", Calculated(over(count, mean), says))
