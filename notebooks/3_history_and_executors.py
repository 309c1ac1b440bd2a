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
# # History and executors
#
# Two habits of a hub that nobody notices until a build log comes: how it keeps the last output of each node, and how it
# does work that blocks. Both can be done in the way that comes to mind first, a list that is cut to length and a thread
# for whatever comes. This notebook measures what the better way buys, and where it buys nothing.
#
# The figures are measured while the notebook runs, each in a process of its own. On a machine that does other things
# meanwhile they are only good for comparison; the ones with more care are in `results/`.

# %%
from IPython.display import Markdown

from heartbench.analysis.report import style
from heartbench.benchmarks.executors.compare import compare as compare_executors
from heartbench.benchmarks.executors.compare import plot_heartbeats, plot_waiting, plot_waits
from heartbench.benchmarks.history.compare import compare as compare_histories
from heartbench.benchmarks.history.compare import plot_append

# %matplotlib inline
# %config InlineBackend.figure_format = "svg"

# %% tags=["parameters"]
CHUNKS = (150, 1_000, 10_000)
LOADS = ("0.9", "2")  # arriving messages, as shares of what the executors can do

# %% [markdown]
# ## To keep the last 150 chunks
#
# `history = history[-150:]` after each append copies the list, every time. A `deque(maxlen=150)` drops the oldest chunk
# instead. The hub adds a budget in bytes to it.

# %%
histories = compare_histories(chunks=CHUNKS, chunk_bytes=(80,), nodes=(1,))
plot_append(histories).figure

# %%
append_us = 1e6 * histories.pivot(index="chunks", columns="way", values="append_s")
append_us.round(2)

# %%
short, long = append_us.loc[150], append_us.loc[10_000]
difference = short["list splice"] - short["deque, byte budget"]
Markdown(
    f"With 150 chunks the splice costs {short['list splice']:.2f} µs an append and the hub's ring, with its budget and "
    f"its check for repetitions, {short['deque, byte budget']:.2f} µs. At a hundred appends a second the difference is "
    f"{100 * abs(difference) / 1e4:.4f} % of a core: **nobody feels it.** With 10,000 chunks it is "
    f"{long['list splice']:.1f} µs against {long['deque, byte budget']:.2f} µs, and the splice grows with every chunk "
    "more that is kept."
)

# %% [markdown]
# ## What a bound in bytes is for
#
# At this length time is no reason to change. Memory is: a bound in chunks says nothing about it. Here the 150 chunks
# come in pieces of 64 KiB, as a build log does.

# %%
log = compare_histories(chunks=(150,), chunk_bytes=(64 << 10,), nodes=(1,))


# %%
@style.styled
def log_plot(log):
    ax = style.axes()
    held = log.set_index("way").retained_bytes / 2**20
    ax.barh(held.index, held, color=[style.ORANGE, style.GREY, style.BLUE], height=0.6)
    for row, each in enumerate(held):
        ax.annotate(f"{each:.2g} MiB", (each, row), xytext=(6, 0), textcoords="offset points", va="center")
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.15)
    ax.set_xlabel("memory that one node's build log holds (MiB)")
    style.state(ax, f"A budget holds {held.iloc[-1]:.2g} MiB of a build log, a deque alone {held['deque']:.2g} MiB")
    return ax


log_plot(log).figure

# %% [markdown]
# The deque alone saves nothing here: it keeps as many chunks as the list. It is the budget that keeps the log of one
# node from taking the memory of the others.

# %% [markdown]
# ## Work that blocks
#
# Storing a chunk can block, so it is handed to threads. The question is what happens when more comes than they can do.
# Here messages arrive on a fixed schedule, whether or not the hub keeps up, each needs the same slow device, and on the
# same event loop a hub listens to the heartbeats of its other nodes.

# %%
executors = compare_executors(loads=LOADS)
shown = ["load", "way", "done", "refused", "peak_in_hub", "peak_at_nodes", "threads"]
executors[shown].sort_values(["load", "way"]).reset_index(drop=True)

# %% [markdown]
# Below capacity little waits anywhere. Above it there is a queue, and the only choice is where it stands: in the hub's
# memory, at the nodes, or nowhere, because work is refused.

# %%
plot_waiting(executors).figure

# %% [markdown]
# No executor makes time. What waits, waits:

# %%
plot_waits(executors).figure

# %% [markdown]
# What must not happen is that the heartbeats of everybody else wait as well: then the hub itself makes nodes stale.

# %%
plot_heartbeats(executors).figure

# %%
over = executors[executors.load == "2"].set_index("way")
pool, block, caller = (over.loc[way] for way in ("unbounded pool", "bounded, block", "bounded, caller runs"))
Markdown(
    f"At twice the capacity the unbounded pool had {pool.peak_in_hub:,.0f} messages waiting in memory after a few "
    f"seconds, with no end to it; where streams wait for their work it was {block.peak_in_hub:,.0f}. Work done by the "
    f"event loop itself made the hub see heartbeats {1000 * caller.heartbeat_late_p99_s:,.0f} ms late (p99), against "
    f"{1000 * block.heartbeat_late_p99_s:,.1f} ms. That is why the hub offers *block* and *reject*, and refuses "
    "*caller runs*."
)
