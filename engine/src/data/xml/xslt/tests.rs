//! Stylesheets and what they make. The expected results are those of the recommendation.

use std::collections::BTreeMap;

use super::*;
use crate::data::budget::Budget;

const SOURCE: &str = "<v:list xmlns:v='urn:v' n='2'><item id='b' size='10'>Pear &amp; co</item>\
                      <item id='a' size='9'>apple</item><!-- c --><?p i?><item id='c' size='x'>Apple</item></v:list>";

/// A stylesheet around these parts, without a declaration in the result.
fn sheet(parts: &str) -> String {
    format!(
        "<xsl:stylesheet version='1.0' xmlns:xsl='{XSL}' xmlns:v='urn:v' exclude-result-prefixes='v'>\
         <xsl:output omit-xml-declaration='yes'/>{parts}</xsl:stylesheet>"
    )
}

fn transformed(source: &str, sheet: &str, params: &[(&str, &str)]) -> Result<String, String> {
    let sheet = Stylesheet::read(sheet).map_err(|refused| refused.to_string())?;
    let document = crate::data::xml::parse(source).map_err(str::to_owned)?;
    let params: BTreeMap<String, String> = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    sheet.transform(&document, &params, LEVELS_IN_PLACE, &Budget::of(400_000, 4 << 20)).map_err(str::to_owned)
}

const IDENTITY: &str =
    "<xsl:template match='@*|node()'><xsl:copy><xsl:apply-templates select='@*|node()'/></xsl:copy></xsl:template>";

#[test]
fn each_element_does_what_it_should() {
    let root = |body: &str| format!("<xsl:template match='/*'>{body}</xsl:template>");
    for (parts, expected) in [
        // What is built in.
        (String::new(), "Pear &amp; coappleApple"),
        (IDENTITY.to_owned(), "<v:list xmlns:v=\"urn:v\" n=\"2\"><item id=\"b\" size=\"10\">Pear &amp; co</item><item id=\"a\" \
                               size=\"9\">apple</item><!-- c --><?p i?><item id=\"c\" size=\"x\">Apple</item></v:list>"),
        // Sorting.
        (root("<s><xsl:for-each select='item'><xsl:sort select='@id'/><xsl:value-of select='@id'/></xsl:for-each></s>"), "<s>abc</s>"),
        (
            root("<s><xsl:apply-templates select='item'><xsl:sort select='@size' data-type='number' order='descending'/>\
                  </xsl:apply-templates></s>") + "<xsl:template match='item'><xsl:value-of select=\"concat(position(), @id, ' ')\"/></xsl:template>",
            "<s>1b 2a 3c </s>",
        ),
        (root("<s><xsl:for-each select='item'><xsl:sort/><xsl:value-of select='@id'/></xsl:for-each></s>"), "<s>acb</s>"),
        (
            root("<s><xsl:for-each select='item'><xsl:sort case-order='upper-first'/><xsl:value-of select='@id'/></xsl:for-each></s>"),
            "<s>cab</s>",
        ),
        // Copies.
        (root("<xsl:copy-of select='item[1]'/>"), "<item xmlns:v=\"urn:v\" id=\"b\" size=\"10\">Pear &amp; co</item>"),
        (root("<x><xsl:copy-of select='item[1]/@id'/><xsl:copy/></x>"), "<x id=\"b\"><v:list xmlns:v=\"urn:v\"/></x>"),
        (root("<x><xsl:copy-of select='count(item)'/></x>"), "<x>3</x>"),
        // Names that are made.
        (
            root("<xsl:element name='{name(item)}s'><xsl:attribute name='n'><xsl:value-of select='@n'/>!</xsl:attribute></xsl:element>"),
            "<items n=\"2!\"/>",
        ),
        (root("<xsl:element name='a' namespace='urn:a'><b/></xsl:element>"), "<a xmlns=\"urn:a\"><b xmlns=\"\"/></a>"),
        (
            root("<x><xsl:attribute name='v:k'>1</xsl:attribute><xsl:attribute name='k' namespace='urn:k'>2</xsl:attribute></x>"),
            "<x xmlns:v=\"urn:v\" xmlns:ns0=\"urn:k\" v:k=\"1\" ns0:k=\"2\"/>",
        ),
        (root("<x a='{@n}{{}}{concat(\"}\", 1)}'/>"), "<x a=\"2{}}1\"/>"),
        // Variables and parameters.
        (
            "<xsl:variable name='g' select='//item'/>".to_owned()
                + &root("<x><xsl:variable name='t'><b>1</b><b>2</b></xsl:variable><xsl:copy-of select='$t'/><xsl:value-of \
                         select='$t'/><xsl:value-of select='count($g[@id != \"a\"])'/></x>"),
            "<x><b>1</b><b>2</b>122</x>",
        ),
        (
            root("<x><xsl:call-template name='n'><xsl:with-param name='to' select='3'/></xsl:call-template></x>")
                + "<xsl:template name='n'><xsl:param name='to'/><xsl:param name='end'>.</xsl:param><xsl:choose><xsl:when test='$to &gt; \
                   0'><xsl:value-of select='$to'/><xsl:call-template name='n'><xsl:with-param name='to' select='$to - \
                   1'/></xsl:call-template></xsl:when><xsl:otherwise><xsl:value-of select='$end'/></xsl:otherwise></xsl:choose></xsl:template>",
            "<x>321.</x>",
        ),
        // Which template is for a node.
        (
            "<xsl:template match='item'>1</xsl:template><xsl:template match='item[@id=\"a\"]'>2</xsl:template><xsl:template \
             match='v:list/item[3]' priority='2'>3</xsl:template><xsl:template match='comment()|processing-instruction()'>4</xsl:template>"
                .to_owned(),
            "12443",
        ),
        (
            root("<xsl:apply-templates mode='m'/>") + "<xsl:template match='*' mode='m'>m</xsl:template><xsl:template match='item'>-</xsl:template>",
            "mmm",
        ),
        ("<xsl:template match='v:list//@id'>[<xsl:value-of select='.'/>]</xsl:template>".to_owned() + &root("<x><xsl:apply-templates select='//@id'/></x>"), "<x>[b][a][c]</x>"),
        // Keys and the node at hand.
        (
            "<xsl:key name='k' match='item' use='string-length(@size)'/>".to_owned()
                + &root("<x><xsl:value-of select='count(key(\"k\", 1))'/><xsl:for-each select='item[generate-id() = \
                         generate-id(key(\"k\", string-length(@size))[1])]'><xsl:value-of select='//item[@id = \
                         current()/@id]/@id'/></xsl:for-each></x>"),
            "<x>2ba</x>",
        ),
        (root("<xsl:if test='@n = 2'>yes</xsl:if><xsl:if test='@n = 3'>no</xsl:if><xsl:text> </xsl:text>"), "yes "),
    ] {
        assert_eq!(transformed(SOURCE, &sheet(&parts), &[]).as_deref(), Ok(expected), "{parts}");
    }
}

#[test]
fn output_is_as_the_stylesheet_says() {
    let with = |output: &str| {
        format!(
            "<xsl:stylesheet version='1.0' xmlns:xsl='{XSL}'>{output}<xsl:param name='p'>none</xsl:param><xsl:template match='/'><a><b>&lt;<xsl:value-of \
             select='$p'/></b>&lt;</a></xsl:template></xsl:stylesheet>"
        )
    };
    for (output, params, expected) in [
        ("", &[][..], "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a><b>&lt;none</b>&lt;</a>"),
        ("<xsl:output method='text'/>", &[("p", "<1>")][..], "<<1><"),
        (
            "<xsl:output method='xml' indent='yes' encoding='utf-8' omit-xml-declaration='yes' cdata-section-elements='b'/>",
            &[("p", "]]>"), ("other", "")][..],
            "<a><b><![CDATA[<]]]]><![CDATA[>]]></b>&lt;</a>",
        ),
        ("<xsl:output omit-xml-declaration='yes'/>", &[("p", "\u{1}\r\n")][..], "<a><b>&lt;\u{fffd}&#13;\n</b>&lt;</a>"),
    ] {
        assert_eq!(transformed("<r/>", &with(output), params).as_deref(), Ok(expected), "{output}");
    }
}

#[test]
fn what_it_cannot_run_is_refused_with_its_line() {
    let refused = |parts: &str| match Stylesheet::read(&sheet(&format!("\n\n{parts}"))) {
        Ok(_) => panic!("{parts} was read"),
        Err(refused) => refused,
    };
    let in_root = |body: &str| format!("<xsl:template match='/'>\n{body}</xsl:template>");
    for (parts, line, why) in [
        ("<xsl:import href='file:///etc/passwd'/>".to_owned(), 3, "not read"),
        ("<xsl:include href='http://evil'/>".to_owned(), 3, "not read"),
        ("<xsl:strip-space elements='*'/>".to_owned(), 3, "`xsl:strip-space` is not supported"),
        ("<xsl:output method='html'/>".to_owned(), 3, "`html`"),
        ("<xsl:output encoding='latin1'/>".to_owned(), 3, "UTF-8"),
        ("<xsl:template match='ancestor::a'/>".to_owned(), 3, "no pattern"),
        ("<xsl:template/>".to_owned(), 3, "neither"),
        ("<xsl:template match='a' priority='high'/>".to_owned(), 3, "priority"),
        (in_root("<xsl:value-of select='document(\"file:///etc/passwd\")'/>"), 4, "`document`"),
        (in_root("<xsl:value-of select='v:exec(1)'/>"), 4, "`exec`"),
        (in_root("<xsl:value-of select='.' disable-output-escaping='yes'/>"), 4, "disable-output-escaping"),
        (in_root("<xsl:message terminate='yes'/>"), 4, "`xsl:message`"),
        (in_root("<xsl:value-of select='$x'/>"), 4, "no variable `x`"),
        (in_root("<xsl:value-of select='n:a'/>"), 4, "the prefix `n`"),
        (in_root("<xsl:value-of select='key(\"k\", 1)'/>"), 4, "no key named `k`"),
        (in_root("<xsl:value-of select='a['/>"), 4, "no XPath 1.0"),
        (in_root("<xsl:value-of/>"), 4, "lacks `select`"),
        (in_root("<a b='{c'/>"), 4, "without its"),
        (in_root("<a b='c}'/>"), 4, "too many"),
        (in_root("<a xsl:use-attribute-sets='s'/>"), 4, "use-attribute-sets"),
        (in_root("<xsl:call-template name='t'/>"), 4, "no template named `t`"),
        (in_root("<xsl:choose/>"), 4, "no `xsl:when`"),
        (in_root("<xsl:for-each select='a'><b/><xsl:sort/></xsl:for-each>"), 4, "before everything else"),
        (in_root("<xsl:variable name='a'/><xsl:variable name='a'/>"), 4, "two variables"),
        (in_root(&format!("{}{}", "<a>".repeat(70), "</a>".repeat(70))), 4, "deeper than 64"),
        ("<a/>".to_owned(), 3, "cannot stand here"),
        ("text".to_owned(), 3, "text cannot stand here"),
        ("<xsl:template".to_owned(), 3, "no XML"),
    ] {
        let refused = refused(&parts);
        assert!(refused.why.contains(why) && refused.line == line, "{parts}: {refused}");
    }
    for text in [
        "",
        "<a/>",
        "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><xsl:stylesheet version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'/>",
        "<xsl:stylesheet version='2.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'/>",
        "<xsl:stylesheet xmlns:xsl='http://www.w3.org/1999/XSL/Transform'/>",
        "<xsl:stylesheet version='1.0' extension-element-prefixes='x' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'/>",
    ] {
        assert!(Stylesheet::read(text).is_err(), "{text}");
    }
    assert!(Stylesheet::read(&sheet(&"<xsl:template match='a'/>".repeat(20_000))).is_err());
}

#[test]
fn nothing_takes_more_than_its_budget() {
    let looping = "<xsl:template match='/'><xsl:call-template name='n'/></xsl:template><xsl:template name='n'><xsl:call-template \
                   name='n'/></xsl:template>";
    assert_eq!(transformed("<r/>", &sheet(looping), &[]), Err(TOO_DEEP.to_owned()));
    let items = format!("<r>{}</r>", "<i>1</i>".repeat(2000));
    let doubling: String = (0..40)
        .map(|n| {
            format!("<xsl:variable name='v{}'><xsl:copy-of select='$v{n}'/><xsl:copy-of select='$v{n}'/></xsl:variable>", n + 1)
        })
        .collect();
    let nesting: String = (0..400)
        .map(|n| format!("<xsl:variable name='v{}'><a><xsl:copy-of select='$v{n}'/></a></xsl:variable>", n + 1))
        .collect();
    for (parts, reason) in [
        ("<xsl:template match='i'><xsl:for-each select='//i'><xsl:copy-of select='//i'/></xsl:for-each></xsl:template>".to_owned(), "the evaluation"),
        ("<xsl:key name='k' match='i[//i = .]' use='//i'/><xsl:template match='/'><xsl:value-of select='key(\"k\", 1)'/></xsl:template>".to_owned(), "the evaluation"),
        (format!("<xsl:template match='/'><xsl:variable name='v0'><a/></xsl:variable>{doubling}<xsl:copy-of select='$v40'/></xsl:template>"), "the evaluation"),
        (format!("<xsl:template match='/'><xsl:variable name='v0'><a/></xsl:variable>{nesting}<xsl:copy-of select='$v400'/></xsl:template>"), "deeper than 256"),
        ("<xsl:template match='/'><a>b<xsl:attribute name='c'/></a></xsl:template>".to_owned(), "after other content"),
        ("<xsl:template match='/'><xsl:element name='{//i}'/></xsl:template>".to_owned(), "a name that XML does not allow"),
    ] {
        let refused = transformed(&items, &sheet(&parts), &[]).expect_err(&parts);
        assert!(refused.contains(reason), "{parts}: {refused}");
    }
}

#[test]
fn the_deepest_documents_fit_the_stacks() {
    let deep = |depth: usize| format!("{}x{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let run = |stack: usize, levels: usize, depth: usize| {
        let source = deep(depth);
        let made = std::thread::Builder::new().stack_size(stack).spawn(move || {
            let sheet = Stylesheet::read(&sheet(IDENTITY)).unwrap();
            let document = crate::data::xml::parse(&source).unwrap();
            (sheet.transform(&document, &BTreeMap::new(), levels, &Budget::of(4_000_000, 8 << 20)), source)
        });
        made.unwrap().join().unwrap()
    };
    let (made, source) = run(STACK, LEVELS, 256);
    assert_eq!(made, Ok(source));
    assert_eq!(run(2 << 20, LEVELS_IN_PLACE, 256).0, Err(TOO_DEEP));
    let looping = "<xsl:template match='/' name='n'><a><xsl:call-template name='n'/></a></xsl:template>";
    let made = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let document = crate::data::xml::parse("<a/>").unwrap();
        Stylesheet::read(&sheet(looping)).unwrap().transform(&document, &BTreeMap::new(), LEVELS, &Budget::of(4_000_000, 8 << 20))
    });
    assert_eq!(made.unwrap().join().unwrap(), Err(TOO_DEEP));
}
