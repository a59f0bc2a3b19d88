"""The keys of policy.yaml: their shape, their documentation, and the source of the JSON Schema.

What can be told from one value alone is checked here; what needs other keys, files or the
clock is checked when the policy is assembled.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import (
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.calls import Direction
from gateway.policy.model import Action, Mode, Party
from gateway.policy.terms import (
    EmergencyDigits,
    Extension,
    FilePath,
    Name,
    NumberFormat,
    NumberType,
    Region,
    Response,
)
from gateway.yamlmodel import (
    Digits,
    Duration,
    Flag,
    Section,
    Text,
    either,
)


class EntryDocument(Section):
    """One entry: its text alone, or a mapping with more about it."""

    KEY: ClassVar[str]

    reason: Text = Field(
        default="", description="Why it is listed; kept with every attempt it decides."
    )
    expires: Text = Field(
        default="",
        description="The last day, such as 2027-01-31, which ends at 24:00 in timezone, or the "
        "moment, such as 2027-01-31T18:00, from which the entry no longer exists.",
    )
    confirm: Flag = Field(
        default=False, description="true: it is meant to cover that much; lint does not ask again."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {cls.KEY: value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        mapping = handler.resolve_ref_schema(handler(core))
        return {
            "anyOf": [{"type": ["string", "integer"]}, mapping],
            "description": mapping.get("description", ""),
        }

    @property
    def text(self) -> str:
        """What was written as the number, prefix or code."""
        return str(getattr(self, self.KEY))


class NumberEntry(EntryDocument):
    """One number, covered exactly."""

    KEY = "number"
    number: Digits = Field(description="The number, best as +33123456789.")


class PrefixEntry(EntryDocument):
    """A prefix: covers every number that begins with it."""

    KEY = "prefix"
    prefix: Digits = Field(description="How the numbers begin, best as +33162.")


class ShortEntry(EntryDocument):
    """One short code or extension, covered exactly."""

    KEY = "short"
    short: Digits = Field(description="The digits of the short code or extension, such as 3179.")


class ShortPrefixEntry(EntryDocument):
    """How short codes or extensions begin."""

    KEY = "short_prefix"
    short_prefix: Digits = Field(description="The first digits of short codes, such as 31.")


class MatchDocument(Section):
    """What a category list covers: keys are ANDed, the values of one key ORed."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    anonymous: Flag = Field(
        default=False, description="No usable number, or its presentation restricted."
    )
    no_number: Flag = Field(default=False, description="Nothing was sent that could be a number.")
    invalid: Flag = Field(default=False, description="A number that cannot exist.")
    unassigned: Flag = Field(
        default=False,
        description="Possible, but in no range that is assigned. Ranges change: such a list is "
        "shadow unless it says mode: enforce.",
    )
    region: list[Region] = Field(default=[], description="Regions that the number belongs to.")
    type: list[NumberType] = Field(default=[], description="Types of number, such as premium_rate.")

    @model_validator(mode="after")
    def _check_keys(self) -> MatchDocument:
        if not any(dict(self).values()):
            raise ValueError(f"names nothing to match: {either(type(self).model_fields)}")
        return self


class CampaignListDocument(Section):
    """A named set of entries, or one match, and what is done to the calls it covers."""

    action: Action = Field(description="block, or allow: an exception from shorter prefixes.")
    direction: Literal["inbound", "outbound", "both"] = Field(
        default="both", description="Which calls the list looks at."
    )
    party: Party = Field(
        default=Party.REMOTE,
        description="Which party it looks at. remote: inbound the caller, outbound the callee.",
    )
    trunks: list[Name] = Field(default=[], description="Only calls on these trunks; empty: on all.")
    extensions: list[Extension] = Field(
        default=[], description="Only calls of these extensions; empty: of all."
    )
    region: Region | None = Field(
        default=None,
        description="The region its entries are written in, instead of numbering.region.",
    )
    response: Response | None = Field(
        default=None,
        description="The SIP status of a blocked call, or 603+, which FreeSWITCH can send. "
        "When none is written: 433 for anonymous, else 603 inbound and 403 outbound.",
    )
    reason: Text = Field(
        default="", description="Why calls are listed here; an entry's own comes first."
    )
    expires: Text = Field(
        default="", description="The expiry of entries that have none of their own."
    )
    mode: Mode | None = Field(
        default=None, description="enforce, or shadow: recorded as 'would have', never enforced."
    )
    binding: Flag = Field(
        default=False,
        description="A legal do-not-call list: no allow overrides it. With block only.",
    )
    may_be_empty: Flag = Field(
        default=False, description="true: it is no fault that it has no entries."
    )
    drop_active: Flag = Field(
        default=False,
        description="true: a managed entry that is added hangs up the live calls it blocks, where "
        "a guard watches the PBX. With block only.",
    )
    numbers: list[NumberEntry] = Field(default=[], description="Numbers, covered exactly.")
    prefixes: list[PrefixEntry] = Field(default=[], description="Covers what begins with them.")
    short: list[ShortEntry] = Field(default=[], description="Short codes and extensions, exactly.")
    short_prefixes: list[ShortPrefixEntry] = Field(default=[], description="How short codes begin.")
    files: list[FilePath] = Field(
        default=[],
        description="List files relative to the policy: .csv with a header (number, prefix, "
        "reason, expires); any other name: text, one entry a line, a prefix ends in *.",
    )
    match: MatchDocument | None = Field(
        default=None, description="What a category list covers; never together with entries."
    )

    @property
    def call_direction(self) -> Direction | None:
        """None is both."""
        return None if self.direction == "both" else Direction(self.direction)

    @property
    def has_entries(self) -> bool:
        """Whether anything is written that could hold entries."""
        return any((self.numbers, self.prefixes, self.short, self.short_prefixes, self.files))


class ListDocument(CampaignListDocument):
    """A list of the whole policy: it may be narrowed to campaigns."""

    campaigns: list[Name] = Field(
        default=[], description="Only calls of these campaigns; empty: of all."
    )


class TrunkDocument(Section):
    """How one trunk writes numbers. What it leaves out it takes from numbering."""

    region: Region | None = Field(
        default=None, description="The region whose national numbers are meant, such as FR."
    )
    format: NumberFormat | None = Field(
        default=None,
        description="How numbers without + or international prefix are written: e164 (country "
        "code first), national, or auto (national where that is possible, else country code).",
    )
    international_prefixes: list[Digits] | None = Field(
        default=None, description="What stands for +, instead of the region's own, such as 00."
    )
    strip: list[Digits] | None = Field(
        default=None, description="Access digits and star codes before a number, such as 9 or *67."
    )
    extensions: list[Digits] | None = Field(
        default=None, description="Patterns of own extensions, such as [1-8]xxx."
    )


class NumberingDocument(TrunkDocument):
    """How numbers are written, unless a trunk says otherwise."""

    trunks: dict[Name, TrunkDocument] = Field(default={}, description="The trunks, by name.")


class EmergencyDocument(Section):
    """Emergency calls are always let through; here only numbers are added."""

    extra: list[EmergencyDigits] = Field(
        default=[], description="Emergency numbers beside those of the region, such as 114."
    )
    callback_window: Duration = Field(
        default=1800.0,
        description="How long after an outbound emergency call inbound calls are let through on "
        "the same trunk.",
    )


class OnErrorDocument(Section):
    """What is answered when a well-formed request cannot be decided."""

    inbound: Action = Field(default=Action.ALLOW, description="For inbound calls.")
    outbound: Action = Field(default=Action.BLOCK, description="For outbound calls.")


class CampaignDocument(Section):
    """A named scope: its own numbers, trunks, contacts and lists."""

    dids: list[Digits] = Field(
        default=[], description="Its own numbers; a number has one campaign."
    )
    trunks: list[Name] = Field(default=[], description="The trunks that it uses.")
    contacts: FilePath | None = Field(
        default=None, description="Its contacts, a CSV file relative to the policy."
    )
    lists: dict[Name, CampaignListDocument] = Field(
        default={}, description="Lists for its calls only; names are shared with the lists of all."
    )


class PolicyDocument(Section):
    """What is blocked. Hand-edited, never written by the program."""

    timezone: Text = Field(
        default="UTC", description="Where a day of expires ends, as Europe/Paris."
    )
    numbering: NumberingDocument = Field(
        default=NumberingDocument(), description="How numbers are written."
    )
    emergency: EmergencyDocument = Field(
        default=EmergencyDocument(), description="What is added about emergency calls."
    )
    default: Action = Field(
        default=Action.ALLOW,
        description="For calls that nothing covers; block allows only what is listed.",
    )
    on_error: OnErrorDocument = Field(
        default=OnErrorDocument(), description="What is answered when a call cannot be decided."
    )
    strict_scope: Flag = Field(
        default=True,
        description="Block outbound calls of a trunk or campaign that is unknown here.",
    )
    lists: dict[Name, ListDocument] = Field(default={}, description="The lists, by name.")
    campaigns: dict[Name, CampaignDocument] = Field(
        default={}, description="The campaigns, by name."
    )
