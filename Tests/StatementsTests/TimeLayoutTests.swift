import Testing

@testable import Statements

/// Times as text. What the Collector reads and writes otherwise would move the records of a pipeline that was taken over.
@Suite("formats of times")
struct TimeLayoutTests {
    @Test(
        "read",
        arguments: [
            ("2024-03-05 6:7:8", "%Y-%m-%d %H:%M:%S", "1709618828000000000"),
            ("2024-03-05T06:07:08.25Z", "%Y-%m-%dT%H:%M:%SZ", "1709618828250000000"),
            ("2024-03-05 06:07:08,1234567891", "%F %T.%f", "1709618828123456789"),
            ("2024-03-05 06:07:08", "%F %T.%L", "1709618828000000000"),
            ("03/05/24 06:07:08", "%D %T", "1709618828000000000"),
            ("Tue Mar  5 06:07:08 2024", "%c", "1709618828000000000"),
            ("5-MAR-2024 06:07:08 am", "%d-%b-%Y %r", "1709618828000000000"),
            ("2024-03-05 06:07:08 +01:00", "%F %T %z", "1709615228000000000"),
            ("2024-03-05 06:07:08 +01", "%F %T %z", "1709615228000000000"),
            ("2024-03-05 06:07:08 -07", "%F %T %i", "1709644028000000000"),
            ("2024-03-05 06:07:08 -07:30", "%F %T %j", "1709645828000000000"),
            ("2024-03-05 06:07:08 -07:30:00", "%F %T %k", "1709645828000000000"),
            ("2024-03-05 06:07:08 -073000", "%F %T %w", "1709645828000000000"),
            ("2024-03-05 06:07:08 UTC", "%F %T %Z", "1709618828000000000"),
            ("2024-03-05 06:07:08 GMT+2", "%F %T %Z", "1709611628000000000"),
            ("2024/3/5 12:07:08 AM", "%Y/%o/%g %l:%M:%S %p", "1709597228000000000"),
            ("24 3 5%", "%y %q %g%", "1709596800000000000"),
        ])
    func reads(_ text: String, _ format: String, _ expected: String) throws {
        let evaluated = try Evaluated(value: "UnixNano(Time(\"\(text)\", \"\(format)\"))")
        #expect(
            evaluated.attributes["r"] ?? "" == (expected.isEmpty ? "" : "int \(expected)"),
            "\(evaluated.errors)")
    }

    @Test("in a zone's own abbreviation")
    func readsAbbreviation() throws {
        let time = "Time(\"2024-07-05 06:07:08 CEST\", \"%F %T %Z\", \"Europe/Berlin\")"
        #expect(try Evaluated(value: "UnixSeconds(\(time))").attributes["r"] == "int 1720152428")
    }

    @Test(
        "refused",
        arguments: [
            ("2024-03-05 06:07:08 PST", "%F %T %Z"), ("2024-03-05 24:00:00", "%F %T"), ("2024-02-30", "%F"),
            ("06:07 PM", "%H:%M %P"), ("2024-03-05  ", "%F"), ("2024-03-05 -07:30", "%F %w"),
        ])
    func refuses(_ text: String, _ format: String) throws {
        let evaluated = try Evaluated(value: "UnixNano(Time(\"\(text)\", \"\(format)\"))")
        #expect(evaluated.attributes["r"] == nil)
        #expect(evaluated.errors.count == 1)
    }

    @Test("without a year it is the present one, without a date today")
    func fillsIn() throws {
        let year = "Year(Time(\"Jan  1 06:07:08\", \"%b %e %H:%M:%S\")) == Year(Now())"
        let day = "Day(Time(\"06:07\", \"%H:%M\")) == Day(Now())"
        let evaluated = try Evaluated(["set(attributes[\"r\"], 1) where \(year) and \(day)"])
        #expect(evaluated.attributes["r"] == "int 1", "\(evaluated.errors)")
    }

    @Test(
        "written",
        arguments: [
            ("%z %Z", "Z UTC"), ("%i %j %k %w", "+00 +00:00 +00:00:00 +000000"),
            ("%r %o|%e|%q", "06:07:08 am _3| 5|3"),
            ("%T.%L", "06:07:08.12"), ("%T,%f", "06:07:08,12"),
            ("%D %c", "03/05/2024 Tue Mar 05 06:07:08 2024"),
            ("%", "%"),
        ])
    func writes(_ format: String, _ expected: String) throws {
        let time = "Time(\"2024-03-05 06:07:08.120\", \"%F %T.%L\")"
        let evaluated = try Evaluated(value: "FormatTime(\(time), \"\(format)\")")
        #expect(evaluated.attributes["r"] == "\"\(expected)\"", "\(evaluated.errors)")
    }

    @Test("a full second has no fraction")
    func writesNoFraction() throws {
        let time = "Time(\"2024-03-05 06:07:08 +0130\", \"%F %T %z\")"
        let evaluated = try Evaluated(value: "FormatTime(\(time), \"%T.%s %z %i\")")
        #expect(evaluated.attributes["r"] == "\"06:07:08 +0130 +01\"")
    }
}
