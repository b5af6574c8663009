from typing import Final

from streamswarm_cli.admin import noun
from streamswarm_cli.admin.noun import Noun

DELIVERIES: Final = Noun(
    "/deliveries",
    "message",
    "id",
    {
        "made": "created_at",
        "channel": "channel_name",
        "rule": "rule_name",
        "kind": "kind",
        "status": "status",
        "attempts": "attempts",
        "delivered": "delivered_at",
        "error": "last_error",
        "id": "id",
    },
)
app: Final = noun.group("Messages on their way and at their end.")
noun.add_list(app, DELIVERIES)
noun.add_show(app, DELIVERIES)
noun.add_act(app, DELIVERIES, "retry", "Try a message again at once.")
