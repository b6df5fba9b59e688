"""How long Hypothesis may take: on a loaded machine as long as it needs, for it is slow and not wrong."""

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
