internal import OTLP
internal import RegularExpression

/// `replace_pattern`, `replace_match` and their forms for all entries of a map.
enum ReplacingEditors {
    static var all: [Function] {
        [pattern, allPatterns, match, allMatches]
    }

    private static let tail: [Parameter] = [
        .optional("function", .function), .optional("replacement_format", .string),
    ]

    /// What is done with the text that a match becomes.
    private struct Replacement {
        let text: Expression
        let function: FunctionArgument?
        let format: Expression?
        /// When text and pattern are literals.
        private let template: RegularExpression.Template?

        init(_ arguments: Arguments, at index: Int, for expression: RegularExpression? = nil) {
            text = arguments.expression(index)
            if let expression, case .string(let bytes) = text.constant {
                template = RegularExpression.Template(bytes.text, for: expression)
            } else {
                template = nil
            }
            function = arguments.function(index + 1)
            format = arguments.optionalExpression(index + 2)
        }

        /// The template when nothing else has a say.
        var plainTemplate: RegularExpression.Template? { function == nil ? template : nil }

        /// The function's and the format's result for one expanded text.
        func finish(_ text: Bytes, _ frame: Frame) throws(EvaluationError) -> Bytes {
            guard let function else { return text }
            let result = try function.apply(frame, text)
            guard case .string(let new) = result else {
                throw EvaluationError("replacement value is not a string")
            }
            guard let format else { return new }
            let template = try format.evaluate(frame).asString().text
            guard template.contains("%s"), !hasOtherVerb(template) else {
                throw EvaluationError(
                    "replacementFormat must be format string containing a single %s and no other format specifiers"
                )
            }
            return Bytes(GoFormat.format(template, [.string(new)]))
        }

        private func hasOtherVerb(_ template: String) -> Bool {
            var rest = Substring(template)
            while let percent = rest.firstIndex(of: "%") {
                rest = rest[percent...].dropFirst()
                guard rest.first == "s" else { return true }
                rest = rest.dropFirst()
            }
            return false
        }

        /// All matches replaced; nil when there is none.
        func replaced(_ text: Bytes, _ expression: RegularExpression, _ frame: Frame) throws(EvaluationError)
            -> Bytes?
        {
            let template: RegularExpression.Template
            if let known = self.template {
                template = known
            } else {
                // What the text costs, and how it may fail, matters only where there is a match.
                guard text.occurs(expression) else { return nil }
                template = RegularExpression.Template(
                    try self.text.evaluate(frame).asString().text, for: expression)
            }
            let limit = frame.textBytesMax
            guard function != nil else {
                return try admitted(try text.replacing(expression, with: template, limit: limit), frame)
            }
            var failure: EvaluationError?
            let result = try text.replacing(expression, with: template, limit: limit) { expanded in
                guard failure == nil else { return expanded }
                do throws(EvaluationError) {
                    return try finish(.owned(expanded), frame).array
                } catch {
                    failure = error
                    return expanded
                }
            }
            if let failure { throw failure }
            return try admitted(result, frame)
        }

        private func admitted(_ text: Bytes?, _ frame: Frame) throws(EvaluationError) -> Bytes? {
            if let text { try frame.admit(text.count) }
            return text
        }
    }

    private static var pattern: Function {
        Function(
            "replace_pattern",
            [.required("target", .path), .required("regex", .string), .required("replacement", .string)]
                + tail
        ) { arguments throws(FunctionError) in
            let target = arguments.path(0)
            let pattern = try Pattern(arguments.expression(1), of: "replace_pattern")
            let replacement = Replacement(arguments, at: 2, for: pattern.constant)
            if target.isPlain, let expression = pattern.constant, let template = replacement.plainTemplate {
                return { frame throws(EvaluationError) in
                    guard case .string(let text) = target.plain(frame) else { return .null }
                    // Kept from item to item, so that nothing is allocated.
                    let room = frame.room
                    // SAFETY: borrowed for the call.
                    let isChanged: Bool
                    do throws(RegularExpression.TooSlow) {
                        isChanged = try unsafe expression.replaceAll(
                            text.unsafeBytes.bindMemory(to: UInt8.self), with: template, into: room,
                            limit: frame.textBytesMax)
                    } catch {
                        throw EvaluationError(error.description, isLimit: true)
                    }
                    guard isChanged else { return .null }
                    try frame.admit(room.count)
                    let new = unsafe UnsafeRawBufferPointer(room.bytes)
                    if unsafe new.isASCII {
                        // SAFETY: as above.
                        try target.set(plain: .string(unsafe WireBytes(new)), frame)
                    } else {
                        try target.set(.string(.owned(unsafe Array(new))), frame)
                    }
                    return .null
                }
            }
            return { frame throws(EvaluationError) in
                guard case .string(let text) = try target.evaluate(frame) else { return .null }
                guard let new = try replacement.replaced(text, pattern.resolved(frame), frame) else {
                    return .null
                }
                try target.set(.string(new), frame)
                return .null
            }
        }
    }

    private static var allPatterns: Function {
        Function(
            "replace_all_patterns",
            [
                .required("target", .path), .required("mode", .literalString), .required("regex", .string),
                .required("replacement", .string),
            ] + tail
        ) { arguments throws(FunctionError) in
            let (target, mode) = (arguments.path(0), arguments.text(1) ?? "")
            guard mode == "key" || mode == "value" else {
                throw FunctionError("invalid mode \(mode), must be either 'key' or 'value'")
            }
            let pattern = try Pattern(arguments.expression(2), of: "replace_all_patterns")
            let replacement = Replacement(arguments, at: 3, for: pattern.constant)
            return { frame throws(EvaluationError) in
                let expression = try pattern.resolved(frame)
                if mode == "value" {
                    try target.change(frame) { entry throws(EvaluationError) in
                        guard case .string(let text) = entry.value else { return nil }
                        do throws(EvaluationError) {
                            guard let new = try replacement.replaced(text, expression, frame) else {
                                return nil
                            }
                            return .string(new)
                        } catch {
                            // A function that fails leaves the value.
                            if error.isLimit { throw error }
                            return nil
                        }
                    }
                    return .null
                }
                let entries = try target.evaluate(frame).asMap().entries
                guard entries.contains(where: { $0.key.occurs(expression) }) else { return .null }
                var new = MapBuilder()
                for entry in entries {
                    do throws(EvaluationError) {
                        let key = try replacement.replaced(entry.key, expression, frame)
                        new.put(key ?? entry.key, entry.value)
                    } catch {
                        // A function that fails loses the entry.
                        if error.isLimit { throw error }
                    }
                }
                try target.set(.map(.entries(new.entries)), frame)
                return .null
            }
        }
    }

    private static var match: Function {
        Function(
            "replace_match",
            [
                .required("target", .path), .required("pattern", .literalString),
                .required("replacement", .string),
            ] + tail
        ) { arguments throws(FunctionError) in
            let (target, glob) = (arguments.path(0), try Glob(arguments.text(1) ?? ""))
            let replacement = Replacement(arguments, at: 2)
            return { frame throws(EvaluationError) in
                guard case .string(let text) = try target.evaluate(frame), glob.matches(text.text) else {
                    return .null
                }
                let new = try replacement.finish(replacement.text.evaluate(frame).asString(), frame)
                try target.set(.string(new), frame)
                return .null
            }
        }
    }

    private static var allMatches: Function {
        Function(
            "replace_all_matches",
            [
                .required("target", .path), .required("pattern", .literalString),
                .required("replacement", .string),
            ] + tail
        ) { arguments throws(FunctionError) in
            let (target, glob) = (arguments.path(0), try Glob(arguments.text(1) ?? ""))
            let replacement = Replacement(arguments, at: 2)
            return { frame throws(EvaluationError) in
                let text = try replacement.text.evaluate(frame).asString()
                try target.change(frame) { entry throws(EvaluationError) in
                    guard case .string(let old) = entry.value, glob.matches(old.text) else { return nil }
                    return .string(try replacement.finish(text, frame))
                }
                return .null
            }
        }
    }
}
