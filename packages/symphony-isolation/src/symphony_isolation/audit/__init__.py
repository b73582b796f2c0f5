"""The audit log: every decision about what extensions may do, in a chain that shows what was done to it."""

from symphony_isolation.audit.log import AuditLog
from symphony_isolation.audit.record import AuditEvent, AuditRecord, line_of
from symphony_isolation.audit.verifying import Verdict, verify

__all__ = ["AuditEvent", "AuditLog", "AuditRecord", "Verdict", "line_of", "verify"]
