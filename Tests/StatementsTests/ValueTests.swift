import Testing

@testable import Statements

/// What value expressions give. A wrong one would be written into every item that passes.
@Suite("values")
struct ValueTests {
    @Test(
        "arithmetic, conversion and text",
        arguments: [
            ("5 / 2", "int 2"), ("5 / 2.0", "double 2.5"), ("1 + 2 * 3", "int 7"), ("-(2 - 5)", "int 3"),
            ("attributes[\"i\"] + 1", "int 8"), ("0x0aff", "bytes 0aff"),
            ("[1, \"a\", true]", "[int 1, \"a\", true]"),
            ("{\"a\": {\"b\": 1}}", "{a: {b: int 1}}"), ("Concat([\"a\", nil, 1], \"-\")", "\"a-<nil>-1\""),
            ("Concat([\"a\", 1.5, true], \"\")", "\"a1.5true\""), ("Int(\"7\")", "int 7"),
            ("Int(1.9)", "int 1"),
            ("ParseJSON(\"{\\\"n\\\": 1}\")[\"n\"]", "double 1"), ("Len(attributes[\"l\"])", "int 3"),
            ("Substring(\"abc\", 1, 2)", "\"bc\""), ("Split(\"a,b\", \",\")", "[\"a\", \"b\"]"),
            ("ToSnakeCase(\"HelloWorld\")", "\"hello_world\""), ("String(1.5)", "\"1.5\""),
            ("Format(\"%05d|%s\", [42, \"x\"])", "\"00042|x\""),
            ("Format(\"%[2]s %[1]d|%[3]*d\", [4, \"a\", 3, 5])", "\"a 4|  5\""),
            ("Format(\"%-*d|%.*f|%[9]d|%[x]d\", [3, 1, 1, 2.55])", "\"1  |2.5|%!d(BADINDEX)|%!d(BADINDEX)\""),
            ("Trim(\"  x \")", "\"x\""),
            ("ConvertCase(\"a_b\", \"camel\")", "\"AB\""), ("Index(\"abc\", \"c\")", "int 2"),
            ("Coalesce([nil, attributes[\"none\"], 3])", "int 3"), ("Keys(attributes[\"m\"])", "[\"k\"]"),
            ("Sort([3, 1, 2], \"desc\")", "[int 3, int 2, int 1]"), ("ParseInt(\"ff\", 16)", "int 255"),
            ("Hours(Duration(\"90m\"))", "double 1.5"),
            ("UnixSeconds(Time(\"2024-01-01\", format=\"%Y-%m-%d\"))", "int 1704067200"),
            ("Decode(\"aGk=\", \"base64\")", "\"hi\""), ("Hex(255)", "\"00000000000000ff\""),
        ])
    func gives(_ expression: String, _ expected: String) throws {
        let evaluated = try Evaluated(value: expression)
        #expect(evaluated.attributes["r"] == expected, "\(expression): \(evaluated.errors)")
    }

    @Test(
        "functions that parse formats",
        arguments: [
            ("ExtractPatterns(body, \"the (?P<what>\\\\w+)\")", "{what: \"body\"}"),
            ("ExtractGrokPatterns(\"5 abc\", \"%{NUMBER:n:int} %{WORD:w}\", true)", "{n: int 5, w: \"abc\"}"),
            ("ExtractGrokPatterns(\"1.2.3.4 -\", \"%{IP:client.ip}\", true)", "{client.ip: \"1.2.3.4\"}"),
            ("ParseCSV(\"1,\\\"a, b\\\",3\", \"x,y,z\")", "{x: \"1\", y: \"a, b\", z: \"3\"}"),
            ("ParseCSV(\"1,\\\"2\\\"\\\"3\\\"\", \"x,y\")", "{x: \"1\", y: \"2\"3\"}"),
            ("ParseKeyValue(\"a=1 b='x y'\")", "{a: \"1\", b: \"x y\"}"),
            ("ParseSimplifiedXML(\"<a><b>1</b><b>2</b></a>\")", "{a: {b: [\"1\", \"2\"]}}"),
            ("GetXML(\"<a><b x='1'>t</b><b/></a>\", \"/a/b[@x='1']\")", "\"<b x=\"1\">t</b>\""),
            ("RemoveXML(\"<a><b/><c/></a>\", \"//b\")", "\"<a><c></c></a>\""),
            ("RemoveXML(\"<a x='1' y='2'><b x='3'/></a>\", \"//@x\")", "\"<a y=\"2\"><b></b></a>\""),
            ("RemoveXML(\"<a><b><b/></b></a>\", \"//b|//b//b|/\")", "\"<a></a>\""),
            ("GetXML(\"<a><a><a>1</a></a></a>\", \"//a//a//a\")", "\"<a>1</a>\""),
            ("GetXML(\"<a><b>1</b><b>2</b></a>\", \"//b/../b[2]|//b[2]\")", "\"<b>2</b>\""),
            ("ConvertAttributesToElementsXML(\"<a x='1'/>\")", "\"<a><x>1</x></a>\""),
            ("URL(\"https://example.com/a.html?q=1\")[\"url.extension\"]", "\"html\""),
            ("ParseSeverity(404, {\"warn\": [{\"range\": \"4xx\"}]})", "\"warn\""),
            (
                "ParseCLF(\"1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \\\"GET / HTTP/1.0\\\" 200 2326\")[\"status\"]",
                "int 200"
            ),
            (
                "ParseCEF(\"CEF:0|v|p|1|100|n|5|src=1.2.3.4 msg=a b\")[\"extensions\"]",
                "{src: \"1.2.3.4\", msg: \"a b\"}"
            ),
            ("UserAgent(\"curl/8.5.0\")[\"user_agent.version\"]", "\"8.5.0\""),
            ("IsInCIDR(\"10.1.2.3\", [\"192.168.0.0/16\", \"10.0.0.0/8\"])", "true"),
            ("IsValidLuhn(\"17893729974\")", "true"),
        ])
    func parses(_ expression: String, _ expected: String) throws {
        let evaluated = try Evaluated(value: expression)
        #expect(evaluated.attributes["r"] == expected, "\(expression): \(evaluated.errors)")
    }

    /// A value that is made up in place of an error would be believed.
    @Test(
        "errors on an item",
        arguments: [
            ("5 / 0", "divide by 0"), ("attributes[\"s\"][\"a\"]", "does not support string indexing"),
            ("attributes[\"l\"][9]", "out of bounds"), ("attributes[\"l\"][-1]", "out of bounds"),
            ("ExtractPatterns(\"x\", \"(?P<a>y)\")[\"a\"]", "key not found in map"),
            ("Double(attributes[\"s\"])", "invalid syntax"), ("Len(attributes[\"none\"])", "Len"),
            ("HasPrefix(attributes[\"none\"], \"a\")", "expected string but got nil"),
            ("Substring(attributes[\"s\"], 2, 50)", "invalid range"),
            ("attributes[\"none\"] + 1", "must be int64"),
            ("Now()", "unsupported type"),
        ])
    func fails(_ expression: String, _ message: String) throws {
        let evaluated = try Evaluated(value: expression)
        #expect(evaluated.attributes["r"] == nil)
        #expect(evaluated.errors.first?.contains(message) == true, "\(expression): \(evaluated.errors)")
    }

    @Test(
        "conditions",
        arguments: [
            ("attributes[\"none\"] == nil", true), ("attributes[\"none\"] != \"x\"", true),
            ("attributes[\"none\"] == \"x\"", false), ("attributes[\"none\"] < 5", false),
            ("attributes[\"s500\"] > 400", false), ("Int(attributes[\"s500\"]) > 400", true),
            ("1 == 1.0", true),
            ("\"1\" == 1", false), ("\"1\" != 1", true), ("IsMatch(404, \"^4\")", true),
            ("IsMatch(nil, \".*\")", false),
            ("attributes[\"m\"][\"a\"][\"b\"] == nil", true), ("not attributes[\"i\"] == 1", true),
            ("true or false and false", true), ("severity_number == SEVERITY_NUMBER_INFO", true),
            ("attributes[\"l\"] == [1, 2, 3]", true), ("attributes[\"m\"] == {\"k\": \"v\"}", true),
            ("IsString(attributes[\"i\"])", false),
            ("trace_id == TraceID(0x00000000000000000000000000000000)", true),
            ("resource.attributes[\"service.name\"] == \"shop\"", true), ("(attributes[\"i\"]) == 7", true),
        ])
    func holds(_ condition: String, _ expected: Bool) throws {
        let evaluated = try Evaluated(["set(attributes[\"r\"], true) where \(condition)"])
        #expect((evaluated.attributes["r"] == "true") == expected, "\(condition): \(evaluated.errors)")
    }

    /// Other implementations compute the same hash of the same text; ours must equal theirs to be joined with.
    @Test(
        "XXH3",
        arguments: [
            (0, "2d06800538d394c2", "99aa06d3014798d86001c324468d497f"),
            (1, "13e608bc156defed", "22bbb76b211a39ba13e608bc156defed"),
            (3, "a9088dda485b481c", "ce31763cbf8245a5a9088dda485b481c"),
            (4, "6d9253b16c8b1ed3", "47197970590746b1788a609154b0fe20"),
            (8, "60539db630471163", "e3bc8a5f461715553cd024e3d63a1588"),
            (9, "feff668361d723a8", "c72c88247a9a56d7eafab1c7f123109f"),
            (16, "b8c859b0f030b585", "ce0b9647ab24f88460d75c5e47d40a24"),
            (17, "714a04408e79b80f", "bfd327edcc2fbd12eeed7654312a26d7"),
            (64, "287eb1fa9e4be2c1", "fed953fe6a8b2b63aa549d72c69cd267"),
            (128, "67425a03650261bf", "1b1962a096bac78bc580008b6c92ac53"),
            (129, "c664bf3311c6abc4", "293e4968c4619023bd91ce7ace4d385b"),
            (200, "746cd0025327bf5b", "32200a52a918beaf380142cdd5843bbd"),
            (240, "64556dc6b462a6cf", "ad46c1021b076bc704e0b5f034bee80b"),
            (241, "8beadd3a8874fe17", "ac6c3492c3d6b45d8beadd3a8874fe17"),
            (300, "fd9aa0f0d62e0227", "55dbf83207efb80dfd9aa0f0d62e0227"),
            (1024, "9b81661c641c72b1", "18bc0eaca9a336369b81661c641c72b1"),
            (1025, "806c2072ed713576", "bf447251cfa98d7c806c2072ed713576"),
            (3000, "c89178bb873c6b3d", "2f8842a022466a4fc89178bb873c6b3d"),
        ])
    func xxh3(_ count: Int, _ short: String, _ long: String) {
        let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) }
        var bytes: [UInt8] = []
        bytes.appendBigEndian(XXH3.hash64(data))
        #expect(TextForm.hex(bytes) == short)
        let hash = XXH3.hash128(data)
        bytes = []
        bytes.appendBigEndian(hash.high)
        bytes.appendBigEndian(hash.low)
        #expect(TextForm.hex(bytes) == long)
    }
}
