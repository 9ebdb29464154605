"""Decisions from measurements that were made in turn: is one build faster, and may it go out?

    observed     what of two measurements is compared, artifact by artifact
    findings     a verdict on each of these, as a comparison or as a gate sees it
    comparing    edgekit.compare: two bundles, two artifacts of one, or two stored measurements
    gating       edgekit.gate: a bundle against a baseline
    sweeping     edgekit.sweep: many combinations of settings
    selftesting  edgekit.selftest: how often the rules err here

The statistics are edgekit.stats'; what counts as measured is said by edgekit.measure.validity.
"""
