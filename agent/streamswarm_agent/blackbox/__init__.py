"""`/probe` as Prometheus' blackbox_exporter answers it: the same modules, the same metric names, its own file read.

What is different is in docs/blackbox.md.
"""

from streamswarm_agent.blackbox.modules import Modules, load_modules
from streamswarm_agent.blackbox.running import Outcome, measure, scrape_timeout

__all__ = ["Modules", "Outcome", "load_modules", "measure", "scrape_timeout"]
