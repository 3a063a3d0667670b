extension ConfigSection {
    /// The extension that `auth::authenticator` names, of a server or of a client; nil: none.
    package func authenticator() -> ComponentID? {
        guard let section = optionalSection("auth") else { return nil }
        section.notSupportedYet("request_params", "credentials are taken from header fields only")
        if let id = section.componentID("authenticator") { return id }
        if !section.isBroken("authenticator") {
            section.report(
                section.has("authenticator") ? "authenticator" : nil, error: "requires an \"authenticator\"",
                help: "write authenticator: and the id of an extension, such as bearertokenauth")
        }
        return nil
    }

    /// The id of another component; nil when absent.
    package func componentID(_ key: String) -> ComponentID? {
        guard let text = optionalString(key), !text.isEmpty else { return nil }
        if let id = ComponentID(text) { return id }
        report(
            key, error: "\"\(text)\" is not a valid component id",
            help: "write a type, or a type and a name such as \"type/name\"")
        return nil
    }
}
