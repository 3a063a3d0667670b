/// The keys of `cors`: which pages browsers let send here, and read the answers.
package struct CORSConfig: Sendable, Equatable {
    /// Origins such as `https://shop.example.com`; one `*` stands for any characters. Not empty. Key `allowed_origins`.
    package var allowedOrigins: [String]
    /// Header fields that requests may have, in small letters, beside those that need no leave; `*` is all. Default
    /// `x-requested-with`. Key `allowed_headers`.
    package var allowedHeaders = ["x-requested-with"]
    /// Header fields of answers that pages may read. Default none. Key `exposed_headers`.
    package var exposedHeaders: [String] = []
    /// Seconds for which a browser keeps a leave; 0 = its own default; less = it must ask each time. Key `max_age`.
    package var maxAge = 0

    package init(allowedOrigins: [String]) { self.allowedOrigins = allowedOrigins }

    /// nil when no origin is allowed, which is off.
    init?(_ section: ConfigSection) {
        let origins = section.stringList("allowed_origins")
        for origin in origins where origin.utf8.count(where: { $0 == UInt8(ascii: "*") }) > 1 {
            section.report(
                "allowed_origins", error: "\(quoted(origin)) has more than one \"*\"",
                help: "write one entry for each part, such as https://*.example.com")
        }
        self.init(allowedOrigins: origins.map { $0.lowercased() })
        if section.has("allowed_headers") {
            allowedHeaders = section.stringList("allowed_headers").map { $0.lowercased() }
        } else {
            section.accept("allowed_headers")
        }
        exposedHeaders = section.stringList("exposed_headers")
        maxAge = section.int("max_age", default: 0, in: -1...Int(Int32.max))
        for (key, names) in [("allowed_headers", allowedHeaders), ("exposed_headers", exposedHeaders)] {
            for name in names where name.isEmpty || !name.utf8.allSatisfy(isHeaderNameByte) {
                section.report(
                    key, error: "\(quoted(name)) is not a valid header name",
                    help: "use letters, digits and -")
            }
        }
        section.finish()
        guard origins.isEmpty else { return }
        for key in ["allowed_headers", "exposed_headers", "max_age"] {
            section.withoutEffect(key, "no origin is allowed (allowed_origins)")
        }
        return nil
    }
}
