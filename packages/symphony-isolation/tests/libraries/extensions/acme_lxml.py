"""XML with lxml: parsed from a file, searched, checked against a schema, and transformed."""

from pathlib import Path

from lxml import etree
from symphony_sdk import Context, operator, provides_operators

SHEET = """
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text"/>
  <xsl:template match="/scores">
    <xsl:for-each select="score[@bars &gt; 90]"><xsl:sort select="." order="descending"/>
      <xsl:value-of select="concat(., ':', @bars, ' ')"/>
    </xsl:for-each>
  </xsl:template>
</xsl:stylesheet>
"""
SCHEMA = """
<element name="scores" xmlns="http://relaxng.org/ns/structure/1.0">
  <oneOrMore><element name="score"><attribute name="bars"/><text/></element></oneOrMore>
</element>
"""


@operator("acme.lxml.work")
def work(ctx: Context) -> dict[str, str]:
    """Write a document, read it back, and tell what is in it; an entity must not fetch a file."""
    scores = "".join(f'<score bars="{n}">opus {n * 7 % 100}</score>' for n in range(100))
    Path("scores.xml").write_text(f"<scores>{scores}</scores>")
    tree = etree.parse("scores.xml")
    sheet = etree.XSLT(etree.XML(SHEET))
    schema = etree.RelaxNG(etree.XML(SCHEMA))
    hostile = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'
    return {
        "valid": str(schema.validate(tree)),
        "sheet": str(sheet(tree)).strip(),
        "search": str(tree.xpath("sum(//score/@bars)")),
        "page": etree.tostring(etree.HTML("<p>unclosed <b>text"), encoding="unicode"),
        "entity": str(etree.fromstring(hostile, etree.XMLParser(resolve_entities=False)).text),
    }


@provides_operators
def symphony_operators():
    yield work
