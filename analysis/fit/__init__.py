"""From a recording of probes to a profile of its network.

fit = fit_recording(read_recording([Path("ping.log")]))
print(fit.parameters["rtt_p50"], fit.warnings)
Path("mine.toml").write_text(profile_text(fit))
"""

from heartbench.analysis.fit.fitting import fit_recording
from heartbench.analysis.fit.model import Estimate, Fit, Kind, Outage

__all__ = ["Estimate", "Fit", "Kind", "Outage", "fit_recording"]
