"""The causes: a module for each family, one function for each cause; a new one is a function and its name in
``RULES``.
"""

from provision.diagnose.rules import answers, calendar, domain, ews, mailbox, policy, registration, token
from provision.diagnose.rules.rule import Remedy, Rule

__all__ = ["RULES", "Remedy", "Rule"]

RULES: tuple[Rule, ...] = (
    *registration.RULES,
    *token.RULES,
    *mailbox.RULES,
    *policy.RULES,
    *calendar.RULES,
    *ews.RULES,
    *domain.RULES,
    *answers.RULES,
)
"""Every rule. Their order says nothing; ``layers`` and ``judge`` do."""
