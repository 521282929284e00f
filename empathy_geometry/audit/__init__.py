"""What a careful reviewer would check in a set of texts."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.audit.audit_result import AuditLimits as AuditLimits
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
