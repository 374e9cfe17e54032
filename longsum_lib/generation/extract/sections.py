"""What the headings of a document say about the sentences under them."""

from __future__ import annotations

import re

SKIPPED = ("references", "thanks", "contents", "licence")
"""Sections that nothing is chosen from: reference lists, acknowledgements and the like, contents, licences."""

# Kind of section -> how its heading may be called, in lower case and without its number.
_NAMES = {
    "abstract": "abstract|summary|executive summary|synopsis|overview|tl;?dr|author summary|key points|highlights"
    "|zusammenfassung|kurzfassung|überblick|résumé|resumen|resumo|sommario|samenvatting|аннотация|резюме|摘要"
    "|概要|要旨|内容提要|要約|まとめ|초록|요약",
    "introduction": "introduction|background|motivation|rationale|einleitung|einführung|hintergrund|introducción"
    "|introdução|introduzione|inleiding|введение|引言|绪论|緒言|序論|はじめに|背景|서론",
    "conclusion": "(?:summary and |discussion and )?conclusions?|concluding remarks|outlook"
    "|discussion(?: and conclusions?)?|general discussion|fazit|schluss(?:folgerung(?:en)?)?|ausblick"
    "|diskussion|conclusión|conclusiones|conclusão|conclusioni|conclusie|заключение|выводы|结论|結論|总结"
    "|讨论|考察|おわりに|결론",
    "methods": "(?:materials? and )?methods?(?: and materials?)?|methodology|experimental (?:setup|procedures)|methoden"
    "|méthodes?|métodos|metodi|методы|方法|実験方法",
    "references": "references(?: cited)?|bibliography|works cited|literature(?: cited)?|citations|further reading|notes"
    "|endnotes|footnotes|literatur(?:verzeichnis)?|quellen(?:verzeichnis)?|références|bibliographie"
    "|referencias|bibliografía|referências|riferimenti|bibliografia|literatuur|литература|список литературы"
    "|参考文献|参考资料|引用文献|참고문헌",
    "thanks": "acknowledge?ments?|funding(?: .{1,30})?"
    "|(?:data|code|software)(?: and (?:data|code|software|materials?))? availability(?: statement)?"
    "|availability of .{1,60}|(?:author|authors['’]) contributions?|conflicts? of interests?"
    "|(?:declaration of |competing )interests?(?: statement)?|ethics .{1,30}|declarations|about the authors?"
    "|abbreviations|list of .{1,30}|index|copyright(?: .{1,20})?|change ?(?:log|history)|revision history"
    "|keywords|danksagung|remerciements|agradecimientos|agradecimentos|ringraziamenti|благодарности|致谢|致謝"
    "|謝辞|abbildungsverzeichnis|tabellenverzeichnis",
    "contents": "(?:table of )?contents|inhalt(?:sverzeichnis)?|table des matières|sommaire|índice|indice|inhoud"
    "|содержание|оглавление|目录|目錄|目次|차례",
    "appendix": r"appendi(?:x|ces)\b.*|supplement(?:ary|al)?\b.*|supporting information.*|anhang\b.*|annexe\b.*|附录.*"
    "|付録.*",
    "licence": "licen[cs]e(?: .{1,40})?|legal notice|disclaimer|terms of use|impressum|lizenz",
}
_KINDS = {kind: re.compile(names) for kind, names in _NAMES.items()}
_NUMBER = re.compile(
    r"^(?:#{1,6}\s*)?(?:(?:chapter|section|part|kapitel|teil|abschnitt|chapitre)\s+)?"
    r"(?P<number>\d{1,2}(?:\.\d{1,3})*\.?|[IVX]{1,5}\.?|[A-H]\.|第?[一二三四五六七八九十]{1,3}[章节節、.])?[\s:—–-]*",
    re.IGNORECASE,
)


def section_kind(heading: str) -> str | None:
    """Return the kind of section that a heading begins, or None if its words say nothing.

    Example:
        >>> section_kind("5.2 Conclusions"), section_kind("LITERATURVERZEICHNIS"), section_kind("The rain")
        ('conclusion', 'references', None)
    """
    number = _NUMBER.match(heading)
    name = heading[number.end() if number else 0 :].strip(" \t*_#:.：").lower()
    return next((kind for kind, names in _KINDS.items() if names.fullmatch(name)), None)


def heading_level(heading: str) -> int | None:
    """Return how deep a heading is by its number or its ``#`` marks, 1 for a chapter; None if neither is there.

    Example:
        >>> heading_level("2.3 Data"), heading_level("## Data"), heading_level("Data")
        (2, 2, None)
    """
    if heading.startswith("#"):
        return len(heading) - len(heading.lstrip("#"))
    match = _NUMBER.match(heading)
    number = match["number"] if match else None
    return None if not number else 1 + number.rstrip(".").count(".")
