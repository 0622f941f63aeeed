"""System checks: half-configured deployments are named before they hurt."""
