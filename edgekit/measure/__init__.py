"""Measuring bundles on devices: what a runner is asked, what is believed of its answers, and the
values that come of them."""
