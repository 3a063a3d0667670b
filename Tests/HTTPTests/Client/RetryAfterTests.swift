import NIOCore
import Testing

@testable import HTTP

/// A destination that asks for a pause and does not get it stays overloaded.
@Suite struct RetryAfterTests {
    @Test(arguments: [
        ("0", 0), ("120", 120), ("Sun, 06 Nov 1994 08:49:37 GMT", 77),
        ("Sun, 06 Nov 1994 08:48:19 GMT", 0), ("Tue, 29 Feb 2000 00:00:00 GMT", 31_622_400),
        ("99999999999999999999", 31_622_400), ("Sunday, 06-Nov-94 08:49:37 GMT", 77),
        ("Sun Nov  6 08:49:37 1994", 77), ("Monday, 07-Nov-95 08:49:37 GMT", 31_622_400),
        ("Sunday, 06-Nov-50 08:49:37 GMT", 0),
    ])
    func delaysAreRead(text: String, seconds: Int64) {
        #expect(RetryAfter.delay(text, unixSeconds: 784_111_700) == .seconds(seconds))
    }

    @Test(arguments: [
        "", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:37", "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06-Nov 08:49:37 GMT",
        "Sun Nov 6 08:49:37", "- - - -",
    ])
    func othersAreNotFollowed(text: String) {
        #expect(RetryAfter.delay(text, unixSeconds: 0) == nil)
    }

    /// Leap years count.
    @Test(arguments: [
        ("Thu, 01 Jan 1970 00:00:10 GMT", 10), ("Thu, 01 Mar 1972 00:00:00 GMT", 68_256_000),
        ("Tue, 29 Feb 1972 00:00:00 GMT", 68_169_600), ("Fri, 31 Dec 1971 23:59:59 GMT", 63_071_999),
    ])
    func datesAreCountedRightly(text: String, seconds: Int64) {
        #expect(
            RetryAfter.delay(text, unixSeconds: max(0, seconds - 86_400)) == .seconds(min(seconds, 86_400)))
    }
}
