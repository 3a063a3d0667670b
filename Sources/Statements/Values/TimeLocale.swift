/// The names of months, days and halves of the day in a language, as the Unicode consortium's CLDR has them in dates.
struct TimeLocale {
    let months: [String]
    let shortMonths: [String]
    let days: [String]
    let shortDays: [String]
    /// Before and after noon, in small letters without dots and spaces; nil: exactly `AM` and `PM`, or `am` and `pm`.
    let halves: [String]?

    static let english = TimeLocale(
        months: TimeText.months, shortMonths: TimeText.months.map { String($0.prefix(3)) },
        days: TimeText.days, shortDays: TimeText.days.map { String($0.prefix(3)) }, halves: nil)

    /// - Parameter tag: of BCP 47; regions make no difference. Nil: a language that is not known here.
    init?(_ tag: String) {
        let language = tag.prefix { $0 != "-" && $0 != "_" }.lowercased()
        if language == "en" {
            self = .english
            return
        }
        guard let words = Self.languages[language == "no" ? "nb" : language] else { return nil }
        let lists = words.split(separator: "/").map { $0.split(separator: " ").map(String.init) }
        self.init(
            months: lists[0], shortMonths: lists[1], days: lists[2], shortDays: lists[3], halves: lists[4])
    }

    private init(
        months: [String], shortMonths: [String], days: [String], shortDays: [String], halves: [String]?
    ) {
        (self.months, self.shortMonths, self.days, self.shortDays) = (months, shortMonths, days, shortDays)
        self.halves = halves
    }

    /// Whether short names may have a dot behind them.
    var hasDots: Bool { halves != nil }

    static var names: String { (["en"] + languages.keys).sorted().joined(separator: ", ") }

    /// Months, short months, days from Sunday on, short days, halves; short names without the dot that may be behind them.
    private static let languages = [
        "da": """
        januar februar marts april maj juni juli august september oktober november december
        /jan feb mar apr maj jun jul aug sep okt nov dec
        /søndag mandag tirsdag onsdag torsdag fredag lørdag/søn man tir ons tor fre lør/am pm
        """,
        "de": """
        Januar Februar März April Mai Juni Juli August September Oktober November Dezember
        /Jan Feb März Apr Mai Juni Juli Aug Sept Okt Nov Dez
        /Sonntag Montag Dienstag Mittwoch Donnerstag Freitag Samstag/So Mo Di Mi Do Fr Sa/am pm
        """,
        "es": """
        enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
        /ene feb mar abr may jun jul ago sept oct nov dic
        /domingo lunes martes miércoles jueves viernes sábado/dom lun mar mié jue vie sáb/am pm
        """,
        "fr": """
        janvier février mars avril mai juin juillet août septembre octobre novembre décembre
        /janv févr mars avr mai juin juil août sept oct nov déc
        /dimanche lundi mardi mercredi jeudi vendredi samedi/dim lun mar mer jeu ven sam/am pm
        """,
        "it": """
        gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
        /gen feb mar apr mag giu lug ago set ott nov dic
        /domenica lunedì martedì mercoledì giovedì venerdì sabato/dom lun mar mer gio ven sab/am pm
        """,
        "ja": """
        1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月/1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月
        /日曜日 月曜日 火曜日 水曜日 木曜日 金曜日 土曜日/日 月 火 水 木 金 土/午前 午後
        """,
        "ko": """
        1월 2월 3월 4월 5월 6월 7월 8월 9월 10월 11월 12월/1월 2월 3월 4월 5월 6월 7월 8월 9월 10월 11월 12월
        /일요일 월요일 화요일 수요일 목요일 금요일 토요일/일 월 화 수 목 금 토/오전 오후
        """,
        "nb": """
        januar februar mars april mai juni juli august september oktober november desember
        /jan feb mars apr mai juni juli aug sep okt nov des
        /søndag mandag tirsdag onsdag torsdag fredag lørdag/søn man tir ons tor fre lør/am pm
        """,
        "nl": """
        januari februari maart april mei juni juli augustus september oktober november december
        /jan feb mrt apr mei jun jul aug sep okt nov dec
        /zondag maandag dinsdag woensdag donderdag vrijdag zaterdag/zo ma di wo do vr za/am pm
        """,
        "pl": """
        stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia
        /sty lut mar kwi maj cze lip sie wrz paź lis gru
        /niedziela poniedziałek wtorek środa czwartek piątek sobota/niedz pon wt śr czw pt sob/am pm
        """,
        "pt": """
        janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
        /jan fev mar abr mai jun jul ago set out nov dez
        /domingo segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado
        /dom seg ter qua qui sex sáb/am pm
        """,
        "ru": """
        января февраля марта апреля мая июня июля августа сентября октября ноября декабря
        /янв февр мар апр мая июн июл авг сент окт нояб дек
        /воскресенье понедельник вторник среда четверг пятница суббота/вс пн вт ср чт пт сб/am pm
        """,
        "sv": """
        januari februari mars april maj juni juli augusti september oktober november december
        /jan feb mars apr maj juni juli aug sep okt nov dec
        /söndag måndag tisdag onsdag torsdag fredag lördag/sön mån tis ons tors fre lör/fm em
        """,
        "zh": """
        一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月/1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月
        /星期日 星期一 星期二 星期三 星期四 星期五 星期六/周日 周一 周二 周三 周四 周五 周六/上午 下午
        """,
    ].mapValues { $0.replacing("\n", with: "") }
}

// MARK: - Reading

extension TimeLayout.Part {
    fileprivate static let shortNames = Set("bha".utf8)

    /// Whether it is a name that languages write with a dot behind it.
    var isShortName: Bool {
        if case .directive(let letter) = self { Self.shortNames.contains(letter) } else { false }
    }

    var startsWithDot: Bool {
        if case .text(let bytes) = self { bytes.first == UInt8(ascii: ".") } else { false }
    }
}

extension TimeLocale {
    /// In capitals or not; the longest that fits.
    static func name(
        _ rest: inout ArraySlice<UInt8>, _ names: [String], _ value: inout Int64?
    ) -> Bool {
        let text = String(decoding: rest, as: UTF8.self).lowercased()
        let fitting = names.indices.filter { text.hasPrefix(names[$0].lowercased()) }
        guard let index = fitting.max(by: { names[$0].utf8.count < names[$1].utf8.count }) else {
            return false
        }
        value = Int64(index) + 1
        rest = rest.dropFirst(names[index].utf8.count)
        return true
    }

    /// A half of the day, such as `p. m.`: dots, spaces and capitals do not count.
    static func half(
        _ rest: inout ArraySlice<UInt8>, _ halves: [String], _ isAfternoon: inout Bool?
    ) -> Bool {
        let text = Substring(decoding: rest, as: UTF8.self)
        for (index, half) in halves.enumerated() {
            var (after, missing) = (text, half[...])
            while let next = after.first, let wanted = missing.first {
                if next.lowercased() == String(wanted) {
                    missing = missing.dropFirst()
                } else if next != ".", !next.isWhitespace {
                    break
                }
                after = after.dropFirst()
            }
            guard missing.isEmpty else { continue }
            if after.first == "." { after = after.dropFirst() }
            isAfternoon = index == 1
            rest = rest.suffix(after.utf8.count)
            return true
        }
        return false
    }
}
