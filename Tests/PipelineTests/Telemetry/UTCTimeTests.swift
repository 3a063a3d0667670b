import Pipeline
import Testing

/// Without these the times on pages and in logs are wrong.
@Suite struct UTCTimeTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"), (1_709_210_096_789, "2024-02-29T12:34:56.789Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
            (-2_203_891_200_000, "1900-03-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func momentsHaveTheirDates(unixMilliseconds: Int64, text: String) {
        #expect(UTCTime(unixMilliseconds: unixMilliseconds).iso8601Milliseconds == text)
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.000000001Z"),
            (500_000_000, "1970-01-01T00:00:00.5Z"), (-1, "1969-12-31T23:59:59.999999999Z"),
            (Int64.max, "2262-04-11T23:47:16.854775807Z"), (Int64.min, "1677-09-21T00:12:43.145224192Z"),
        ] as [(Int64, String)])
    func fractionsHaveOnlyTheDigitsThatCount(unixNanoseconds: Int64, text: String) {
        #expect(UTCTime(unixNanoseconds: unixNanoseconds).rfc3339 == text)
    }
}
