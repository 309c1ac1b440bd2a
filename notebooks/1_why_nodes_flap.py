# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why nodes flap
#
# A fleet's dashboard shows nodes turning red and green again although they never failed. This notebook follows one such
# flap from its cause to the dashboard: an outage of the radio link, TCP's reaction to it, and the threshold that the
# resulting gap exceeds.
#
# It needs no network: links, TCP connections and the fleet are simulated. Every figure is computed in the cell that
# shows it.

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from heartbench.analysis.evidence import policies_at, simulated
from heartbench.analysis.ladder import Ladder
from heartbench.analysis.qos import judge
from heartbench.analysis.report import style
from heartbench.analysis.report.ladder import plot_ladder
from heartbench.simulator.scenario import load_scenario

# %matplotlib inline
# %config InlineBackend.figure_format = "svg"

# %% tags=["parameters"]
OUTAGES = 241  # lengths of outages on the ladder, from 0 to 60 s
NODES = 300

# %% [markdown]
# ## One node, one outage
#
# A node sends a heartbeat every ten seconds over a link with a round-trip time of 85 ms. Then the link passes nothing
# for a while. The heartbeats of that time are not lost: TCP keeps and retransmits them. But *when*?

# %%
STALE_AFTER_S = 30.0
OUTAGE_S = 25.0
link = Ladder(rtt_s=0.085, interval_s=10.0)
heartbeats = link.heartbeats(OUTAGE_S, phase=0.5)
heartbeats.head(9).round(2)


# %%
@style.styled
def outage_plot(heartbeats, outage_s):
    ax = style.axes()
    ax.axvspan(0, outage_s, color=style.GREY, alpha=0.18, linewidth=0)
    ax.annotate("no link", (outage_s / 2, 0.5), ha="center", va="center", color=style.GREY, fontweight="bold")
    for sent, arrived in heartbeats.itertuples(index=False):
        late = arrived - sent > 1.0
        ax.plot([sent, arrived], [1, 0], color=style.ORANGE if late else style.BLUE, linewidth=1.4)
    ax.plot(heartbeats.sent_s, np.ones(len(heartbeats)), "o", color=style.BLUE)
    ax.plot(heartbeats.arrived_s, np.zeros(len(heartbeats)), "o", color=style.BLUE)
    before, after = silence(heartbeats)
    ax.annotate("", (before, -0.22), (after, -0.22), arrowprops={"arrowstyle": "<->", "color": style.ORANGE})
    ax.annotate(
        f"{after - before:.1f} s of silence",
        ((before + after) / 2, -0.36),
        ha="center",
        color=style.ORANGE,
        weight="bold",
    )
    ax.set_yticks([0, 1], ["received by the hub", "sent by the node"])
    ax.set_ylim(-0.55, 1.25)
    ax.set_xlim(-16, after + 25)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("time since the outage began (s)")
    style.state(ax, f"The link is back after {outage_s:g} s, the next heartbeat arrives after {after:.0f} s")
    return ax


def silence(heartbeats):
    """Return when the longest silence at the hub began and ended, s."""
    arrived = np.sort(heartbeats.arrived_s)
    longest = np.argmax(np.diff(arrived))
    return arrived[longest], arrived[longest + 1]


outage_plot(heartbeats, OUTAGE_S).figure

# %%
before, after = silence(heartbeats)
Markdown(
    f"The outage lasted {OUTAGE_S:g} s. The hub received nothing for **{after - before:.1f} s**, of which "
    f"{after - OUTAGE_S:.1f} s were after the link was back. With a threshold of {STALE_AFTER_S:g} s the hub marks the "
    f"node stale, although it is up and its link works."
)

# %% [markdown]
# ## The ladder
#
# TCP retransmits when its retransmission timeout (RTO) expires, and doubles the timeout each time. It learns that the
# link is back only with its next attempt. So the silence grows not in proportion to the outage but in *steps*: all
# outages that end between two attempts cause the same silence.

# %%
steps = link.rows(np.linspace(0, 60, OUTAGES), phases=[0.2, 0.5, 0.95])
plot_ladder(steps, STALE_AFTER_S).figure

# %% [markdown]
# The origin of the steps, for outages that begin in the middle of an interval: the table has the silence on each step,
# the time of the attempt that ended it, and the time since the attempt before. These times double.


# %%
def rungs(steps, phase):
    """Return the steps of the ladder: their outages, and the attempt that ended the silence, s after its start."""
    line = steps[steps.phase == phase]
    step = (line.gap_s.pct_change() > 0.02).cumsum()
    table = line.groupby(step).agg(
        outages_from_s=("outage_s", "min"), outages_to_s=("outage_s", "max"), gap_s=("gap_s", "median")
    )
    table["attempt_s"] = table.gap_s - phase * link.interval_s
    table["since_the_one_before_s"] = table.attempt_s.diff()
    return table.round(1).reset_index(drop=True)


rungs(steps, 0.5)

# %%
Markdown(f"The RTO was {link.rto_s():.3f} s when the outage began; each doubling starts from there.")

# %% [markdown]
# This is why a threshold is always near a cliff. If it is slightly longer than a step, every outage up to the next
# attempt goes unnoticed; if it is slightly shorter, each of them causes a flap.

# %% [markdown]
# ## A fleet, a day
#
# Now a fleet of mobile nodes behind WireGuard on a public 5G network, for a simulated day. No node fails, so every
# stale mark is a false positive.

# %%
fleet = simulated(load_scenario("wireguard-5g").with_nodes(NODES))
gaps = fleet.gaps
Markdown(f"{fleet.scenario.nodes} nodes, {len(gaps):,} gaps between messages in {fleet.duration_s / 3600:g} h.")


# %%
@style.styled
def longer_plot(gaps, thresholds_s):
    """Plot how often a gap is longer than a given time."""
    ax = style.axes()
    node_days = gaps.up_s.sum() / 86400
    lengths = np.sort(gaps.up_s)
    longer = len(lengths) - np.arange(len(lengths))
    shown = lengths > 8.0
    ax.plot(lengths[shown], longer[shown] / node_days, color=style.BLUE)
    style.log_scale(ax, "x")
    style.log_scale(ax, "y")
    counts = [np.count_nonzero(lengths > threshold) / node_days for threshold in thresholds_s]
    for place, threshold in enumerate(thresholds_s):
        style.mark(
            ax, threshold, f"{threshold:g} s", style.ORANGE if threshold == STALE_AFTER_S else style.GREY, place % 2
        )
    ax.set_xlabel("length of the gap (s)")
    ax.set_ylabel("longer gaps per node-day")
    at = dict(zip(thresholds_s, counts, strict=True))
    style.state(ax, f"A live node is silent for more than {STALE_AFTER_S:g} s {at[STALE_AFTER_S]:.1f} times a day")
    return ax


longer_plot(gaps, [15.0, STALE_AFTER_S, 60.0, 90.0]).figure

# %% [markdown]
# The curve falls in steps as well: the ladder, blurred by varying round-trip times and by outages that begin at any
# time.
#
# The next plot shows what the dashboard displays. Each row is a node, those with the most false stales on top; each
# mark is a time in which the node was stale (short ones are widened to be visible).


# %%
def false_stales(gaps, stale_after_s):
    """Return when each node was stale while it was up: node, from_s, to_s."""
    node = np.repeat(gaps.node, np.diff(gaps.first))
    wrong = gaps.up_s > stale_after_s
    begin = gaps.start_s[wrong]
    return pd.DataFrame({"node": node[wrong], "from_s": begin + stale_after_s, "to_s": begin + gaps.up_s[wrong]})


@style.styled
def dashboard_plot(stales, nodes, hours):
    ax = style.axes()
    order = stales[stales.from_s < hours * 3600].node.value_counts().index[:nodes]
    for row, node in enumerate(order):
        mine = stales[stales.node == node]
        bars = [(a / 60, max(b - a, 120) / 60) for a, b in zip(mine.from_s, mine.to_s, strict=True)]
        ax.broken_barh(bars, (row - 0.42, 0.84), color=style.ORANGE, linewidth=0)
        ax.axhspan(row - 0.42, row + 0.42, color=style.GREEN, alpha=0.13, linewidth=0, zorder=0)
    ax.set_xlim(0, hours * 60)
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.set_ylabel(f"the {len(order)} nodes with the most false stales")
    ax.set_xlabel("time (minutes)")
    flashes = np.count_nonzero(stales.from_s < hours * 3600)
    style.state(ax, f"{flashes} false stales in {hours:g} hours in a fleet at {STALE_AFTER_S:g} s")
    return ax


dashboard_plot(false_stales(gaps, STALE_AFTER_S), nodes=24, hours=12).figure

# %% [markdown]
# ## What a threshold would change
#
# The same day with other thresholds. A *visible flap* (`flashes` in the columns) is a status change that the dashboard
# shows; the price of fewer visible flaps is a longer detection time.

# %%
policies = policies_at([15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0], fleet.hub)
judged = judge(gaps, policies, fleet.duration_s).frame()
judged[["stale_after_s", "false_stale_per_node_day", "flashes_per_hour", "detection_p99_s"]].round(2)

# %%
by_threshold = judged.set_index("stale_after_s").flashes_per_hour
Markdown(
    f"At {STALE_AFTER_S:g} s the dashboard of {fleet.scenario.nodes} nodes shows {by_threshold[30.0]:.0f} flaps per "
    f"hour, at 60 s {by_threshold[60.0]:.1f}, at 90 s {by_threshold[90.0]:.2f}. The next notebook shows which "
    "threshold to set."
)
