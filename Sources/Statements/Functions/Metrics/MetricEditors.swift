internal import OTLP

/// What statements of the metric context can do beside the editors of all contexts.
enum MetricEditors {
    static var all: [Function] {
        [sumToGauge, gaugeToSum, extractCount, extractSum, copy, scale]
            + [summaryValue("count"), summaryValue("sum"), summaryQuantiles]
            + AggregatingEditors.all + BucketEditors.all
    }

    private static func temporality(_ name: String) throws(FunctionError) -> UInt64 {
        switch name {
        case "delta": return 1
        case "cumulative": return 2
        default: throw FunctionError("unknown aggregation temporality: \(name)")
        }
    }

    private static var sumToGauge: Function {
        Function("convert_sum_to_gauge", []) { _ in
            { frame throws(EvaluationError) in
                guard frame.metricType == .sum else { return .null }
                var data: [UInt8] = []
                for point in frame.points { data.appendField(1, .borrowed(point)) }
                frame.replaceData(by: .gauge, data)
                return .null
            }
        }
    }

    private static var gaugeToSum: Function {
        Function(
            "convert_gauge_to_sum",
            [.required("aggregation_temporality", .literalString), .required("monotonic", .literalBool)]
        ) { arguments throws(FunctionError) in
            let temporality = try temporality(arguments.text(0) ?? "")
            let isMonotonic = arguments.bool(1) ?? false
            return { frame throws(EvaluationError) in
                guard frame.metricType == .gauge else { return .null }
                var data: [UInt8] = []
                for point in frame.points { data.appendField(1, .borrowed(point)) }
                data += [UInt8(Field.MetricData.temporality) << 3, UInt8(temporality)]
                if isMonotonic { data += [UInt8(Field.MetricData.isMonotonic) << 3, 1] }
                frame.replaceData(by: .sum, data)
                return .null
            }
        }
    }

    /// The type, if it is one of those that have a count and a sum.
    private static func distribution(_ frame: Frame, _ function: String) throws(EvaluationError) -> MetricType {
        switch frame.metricType {
        case .histogram: return .histogram
        case .exponentialHistogram: return .exponentialHistogram
        case .summary: return .summary
        case let other:
            throw EvaluationError(
                "\(function) requires an input metric of type Histogram, ExponentialHistogram or Summary, got "
                    + (other?.name ?? "Empty"))
        }
    }

    private static var extractCount: Function {
        Function(
            "extract_count_metric", [.required("monotonic", .literalBool), .optional("suffix", .literalString)]
        ) { arguments in
            let (isMonotonic, suffix) = (arguments.bool(0) ?? false, arguments.text(1) ?? "_count")
            return { frame throws(EvaluationError) in
                let type = try distribution(frame, "extract_count_metric")
                var draft = MetricDraft(from: frame, suffix: suffix, .sum)
                // The unit of the values is not that of their number.
                draft.unit = Bytes("1")
                (draft.temporality, draft.isMonotonic) = (frame.temporality, isMonotonic)
                for point in frame.points {
                    draft.addNumber(
                        .int(Int64(bitPattern: point.bits(4))), like: point, attributes: type.attributes)
                }
                if !draft.points.isEmpty { try frame.append(metric: draft.bytes) }
                return .null
            }
        }
    }

    private static var extractSum: Function {
        Function(
            "extract_sum_metric", [.required("monotonic", .literalBool), .optional("suffix", .literalString)]
        ) { arguments in
            let (isMonotonic, suffix) = (arguments.bool(0) ?? false, arguments.text(1) ?? "_sum")
            return { frame throws(EvaluationError) in
                let type = try distribution(frame, "extract_sum_metric")
                var draft = MetricDraft(from: frame, suffix: suffix, .sum)
                (draft.temporality, draft.isMonotonic) = (frame.temporality, isMonotonic)
                for point in frame.points where type == .summary || point.field(5) != nil {
                    draft.addNumber(.double(point.double(5)), like: point, attributes: type.attributes)
                }
                if !draft.points.isEmpty { try frame.append(metric: draft.bytes) }
                return .null
            }
        }
    }

    /// `convert_summary_count_val_to_sum` and `convert_summary_sum_val_to_sum`.
    private static func summaryValue(_ what: String) -> Function {
        Function(
            "convert_summary_\(what)_val_to_sum",
            [
                .required("aggregation_temporality", .literalString), .required("monotonic", .literalBool),
                .optional("suffix", .literalString),
            ]
        ) { arguments throws(FunctionError) in
            let temporality = try temporality(arguments.text(0) ?? "")
            let isMonotonic = arguments.bool(1) ?? false
            let suffix = arguments.text(2) ?? "_\(what)"
            return { frame throws(EvaluationError) in
                guard frame.metricType == .summary else { return .null }
                var draft = MetricDraft(from: frame, suffix: suffix, .sum)
                (draft.temporality, draft.isMonotonic) = (temporality, isMonotonic)
                for point in frame.points {
                    let value =
                        what == "count" ? Value.int(Int64(bitPattern: point.bits(4))) : .double(point.double(5))
                    draft.addNumber(value, like: point, attributes: MetricType.summary.attributes)
                }
                try frame.append(metric: draft.bytes)
                return .null
            }
        }
    }

    private static var summaryQuantiles: Function {
        Function(
            "convert_summary_quantile_val_to_gauge",
            [.optional("attribute_key", .literalString), .optional("suffix", .literalString)]
        ) { arguments in
            let key = Bytes(arguments.text(0) ?? "quantile")
            let suffix = arguments.text(1) ?? ".quantiles"
            return { frame throws(EvaluationError) in
                guard frame.metricType == .summary else { return .null }
                var draft = MetricDraft(from: frame, suffix: suffix, .gauge)
                for point in frame.points {
                    for field in point.fields where field.number == 6 {
                        let quantile = TextForm.general(field.bytes.double(1))
                        draft.addNumber(
                            .double(field.bytes.double(2)), like: point,
                            attributes: MetricType.summary.attributes,
                            adding: MapEntry(key: key, value: .text(quantile)))
                    }
                }
                try frame.append(metric: draft.bytes)
                return .null
            }
        }
    }

    private static var copy: Function {
        Function(
            "copy_metric",
            [.optional("name", .string), .optional("description", .string), .optional("unit", .string)]
        ) { arguments in
            let fields = [Field.Metric.name, Field.Metric.description, Field.Metric.unit]
            let values = (0..<3).map { arguments.optionalExpression($0) }
            return { frame throws(EvaluationError) in
                var content: [UInt8] = []
                var replaced: Set<UInt32> = []
                for (field, value) in zip(fields, values) {
                    guard let value else { continue }
                    content.appendField(UInt64(field), try value.evaluate(frame).asString())
                    replaced.insert(field)
                }
                content.appendFields(of: frame.editor.content(frame.item), except: replaced)
                try frame.append(metric: content)
                return .null
            }
        }
    }

    private static var scale: Function {
        Function("scale_metric", [.required("multiplier", .literalDouble), .optional("unit", .string)]) {
            arguments in
            let (factor, unit) = (arguments.double(0) ?? 1, arguments.optionalExpression(1))
            return { frame throws(EvaluationError) in
                guard let type = frame.metricType, type != .exponentialHistogram else {
                    throw EvaluationError("unsupported metric type: '\(frame.metricType?.name ?? "Empty")'")
                }
                let newUnit = try unit?.evaluate(frame).asString()
                if let newUnit { frame.editor.setContent(frame.item, Field.Metric.unit, newUnit) }
                frame.replacePoints(frame.points.map { scaled($0, type, factor) })
                return .null
            }
        }
    }

    private static func scaled(_ point: WireBytes, _ type: MetricType, _ factor: Double) -> [UInt8] {
        var content: [UInt8] = []
        switch type {
        case .gauge, .sum:
            content.appendFields(of: point, except: [4, 6])
            if let int = point.field(6) {
                content.appendPointValue(.int((Double(int.int64) * factor).truncatedToInt64))
            } else {
                content.appendPointValue(.double(point.double(4) * factor))
            }
        case .histogram:
            content.appendFields(of: point, except: [5, 7, 11, 12])
            for number in [5, 11, 12] as [UInt32] {
                guard let field = point.field(number) else { continue }
                content.appendFixed64(number, (field.double * factor).bitPattern)
            }
            content.appendWords(7, point.words(7).map { (Double(bitPattern: $0) * factor).bitPattern })
        default:
            content.appendFields(of: point, except: [5, 6])
            content.appendFixed64(5, (point.double(5) * factor).bitPattern)
            for field in point.fields where field.number == 6 {
                var quantile: [UInt8] = []
                quantile.appendFixed64(1, field.bytes.bits(1))
                quantile.appendFixed64(2, (field.bytes.double(2) * factor).bitPattern)
                content.appendField(6, .owned(quantile))
            }
        }
        return content
    }
}
