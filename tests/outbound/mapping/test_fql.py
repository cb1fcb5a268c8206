"""The grammar of triggers: one meaning, and a remedy for all that has none."""

import pytest

from gateway.errors import ConfigError
from gateway.outbound.mapping import parse

PLACE = "destinations.crm.actions[0].trigger"


@pytest.mark.parametrize(
    "text",
    [
        'type = "track"',
        'type="track"',
        'type ="track" and event= "x"',
        "type = track or type = page",  # presets of Segment's have it
        'type = "track" AND event = "x"',  # so have others
        '(type = "track")',
        'type = "track" and (event = "a" or event = "b")',
        '(type = "track" and event = "a") or (type = "page" and name = "b")',
        '(contains(event, "a") or match(event, "b*")) and type = "track"',
        "properties.total <5 and properties.total >= -0.5",
        "properties.total = +5 and properties.total != -.5",
        r"properties.first\ name != null and traits.\1st = true",
        r"properties.\and = 1 and properties.and.x = 1 and properties.order = 1",
        r"traits.caf\é = false and traits._x-2 = null",
        '\n\ttype = "page"\n or name = ""\n',
        '!contains(userId, "@") and !match(context.page.path, "*.html")',
    ],
)
def test_what_the_grammar_reads(text: str) -> None:
    assert parse(text).text == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # Trap 7: what Segment's own evaluator misreads or drops.
        (
            'type = "track" or type = "page" and userId = "c"',
            "`and` beside `or` needs parentheses: a and (b or c) (column 33)",
        ),
        ("type = 'track'", 'a text stands in double quotes: "..." (column 8)'),
        ('anonymousId = "a"', "anonymousId cannot be asked in a trigger; known are: "),
        ("messageId != null", "for other fields use `when`"),
        ('groupId = "g"', "for other fields use `when`"),
        ('((type = "track"))', "parentheses within parentheses are not read"),
        ('event in ["a"]', 'write (a = "x" or a = "y") (column 10)'),
        ('event in ("a")', "lists are not read"),
        ('type = "track" and', "nothing follows `and` (column 16)"),
        ('(type = "track" or) and event = "a"', "nothing follows `or`"),
        # More of the kind.
        ("", "leave it out if every event is meant"),
        (" \n", "leave it out if every event is meant"),
        ("()", "nothing stands in the parentheses"),
        ('and type = "track"', "nothing stands before `and`"),
        ('type = "track" event = "a"', "event stands where `and` or `or` is needed"),
        ('type = "track", event = "a"', ", stands where `and` or `or` is needed"),
        ('type = "track" OR type = "page"', "write or, in lower case (column 16)"),
        ('type = "track" and(event = "a")', "a space is needed after and (column 19)"),
        ('type = "track" && event = "a"', "write and"),
        ('type = "track" | type = "page"', "write or"),
        ('(type = "track"', "this parenthesis is not closed (column 1)"),
        ('type = "track")', "a closing parenthesis too many (column 15)"),
        (
            'type = "track"and event = "a"',
            'a space is needed after "track" (column 15)',
        ),
        ('type == "track"', "= stands where a single = is needed"),
        ("type", "the end stands where one of = != < <= > >= is needed"),
        ("type =", "the end stands where a value is needed"),
        ('event = "a', "the text has no closing double quote (column 9)"),
        ('type = "trakc"', "known are: identify, track, page, screen, group, alias"),
        ('type = "trakc"', "did you mean track?"),
        ('type = "Identify"', "did you mean identify?"),
        ("type != null", "type is not compared with null"),
        ("event = null", "event is not compared with null"),
        ("name = true", "name is a text, never true"),
        ("userId = 5", "userId is a text"),
        ('userId < "5"', "userId is a text"),
        ('userid = "5"', "did you mean userId?"),
        ("NULL = 1", "write null, in lower case"),
        ("properties = null", "name what is asked of properties: properties.x"),
        ('contains(traits, "a")', "name what is asked of traits: traits.x"),
        (r"traits.\. = 1", "name what is asked of traits"),
        ('event.x = "a"', "event is a text: nothing is within it"),
        ('propertiesx.a = "a"', "did you mean properties?"),
        ("properties.1st = 1", r"escaped: properties.\1st"),
        ("properties. = 1", "a name follows the point"),
        ("properties.or = 1", r"write properties.\or"),
        ("properties.a<3", "a space is needed before <"),
        ("properties.a <=3", "a space is needed after <="),
        ('properties.a !="b"', "a space is needed after !="),
        ('properties.a["b"] = 1', "lists are not read"),
        ("traits.é = 1", "a name follows the point"),
        ("traits.aé = 1", "a backslash before it makes it part of a name"),
        ("traits.a = \\", "a backslash stands before the character that it escapes"),
        ("traits.a = 1.", "1. is no number"),
        ("traits.a = 5x", "5x is no number"),
        ("traits.a = pro", 'a text stands in double quotes: "pro"'),
        ("traits.a = True", "write true, in lower case"),
        ("traits.a != true", "write = true, = false or = null"),
        ("traits.a < true", "< compares numbers, not true"),
        ("traits.a < null", "< compares numbers, not null"),
        ('traits.a < "5"', "< compares numbers: write it without quotes"),
        ('!type = "track"', "! stands only right before contains or match"),
        ('! contains(event, "a")', "! stands only right before contains or match"),
        ('contain(event, "a")', "unknown function contain(); known are: contains, "),
        ("lowercase(event)", "unknown function lowercase()"),
        ('contains(type, "a")', "contains() is not asked of type: compare it"),
        ('contains("a", event)', '"a" stands where a field is needed'),
        ('contains(event "a")', '"a" stands where , is needed'),
        ('contains(event, "a"', "the end stands where ) is needed"),
        ("contains(event, 5)", '5 stands where a text in "quotes" is needed'),
        ("contains(event, text)", 'text stands where a text in "quotes" is needed'),
        ('match(event, "a")', "match() takes one * at the begin or at the end"),
        ('match(event, "*a*")', "use contains() for the middle"),
        ('type = "track"\r\nand event = "a"', "a line ends with a line feed alone"),
    ],
)
def test_what_has_no_one_meaning_is_refused_with_its_remedy(
    text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, place=PLACE)
    assert str(caught.value).startswith(f"{PLACE}: ")
    assert says in str(caught.value)
