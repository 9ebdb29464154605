"""The search for the best candidate: which values of a recipe's parameters give the best net.

    space        parameters and their values, as overrides of the recipe
    goals        objectives and limits, and what a candidate misses
    figures      what is known of a candidate, with intervals
    making       a candidate made: lowered untrained, measured, trained
    halving      which candidates are trained on
    samplers     which values are tried next
    studies      the study in its storage: begun, ended and abandoned candidates
    trials       one candidate from its values to its outcome
    candidates   what came of a candidate, as a value
    result       the front, what the parameters matter, what was saved
    run          edgekit.search: candidate after candidate until it is enough
    applying     the chosen recipe as a file

Optuna (the extra `search`) chooses the values and keeps the study. It is imported on first use."""
