"""The engine room: finds, installs or builds Pulumi, chooses the azuread plugin, keeps the state and drives stacks.

Owns everything that knows Pulumi's command line, state layout and events. Does not own what a stack contains (``app``)
nor the stories around a run (``onboard``): it is given a project directory and says what happened.
"""
