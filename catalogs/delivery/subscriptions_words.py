"""Notices as letters, in English, Kazakh and Russian."""

from collections.abc import Mapping
from typing import Any, Final

from configs.schema.subscriptions import Language

_SUBJECTS: Final[Mapping[str, tuple[str, str]]] = {
    "order.placed": ("Сіз үшін жаңа сурет тапсырыс берілді", "Для вас заказан новый снимок"),
    "order.ready": ("Сурет жүктеп алуға дайын", "Снимок готов к загрузке"),
    "order.rejected": ("Тапсырыс қабылданбады", "Заказ отклонён"),
    "order.failed": ("Тапсырыс әзірге орындалмады, қайталанады", "Заказ пока не выполнен, попытка повторится"),
    "order.cancelled": ("Тапсырыс тоқтатылды", "Заказ отменён"),
    "order.expired": ("Тапсырыс мерзімі өтті", "Срок заказа истёк"),
    "item.delayed": (
        "Жаңа суретке кейінірек тапсырыс беріледі",
        "Новый снимок будет заказан позже, по окончании срока",
    ),
    "item.denied": ("Жаңа сурет сізге берілмейді", "Новый снимок не может быть вам передан"),
    "item.limit": ("Жаңа сурет осы айдың шегінен асады", "Новый снимок превышает предел подписки на этот месяц"),
    "item.quota": ("Жаңа сурет осы айдың квотасынан асады", "Новый снимок превышает вашу квоту на этот месяц"),
    "item.licence": ("Алдымен лицензияны қабылдау қажет", "Сначала нужно принять лицензию"),
    "item.refused": ("Жаңа суретке тапсырыс беру мүмкін болмады", "Новый снимок заказать не удалось"),
    "item.superseded": ("Сіз алған суреттің жаңа нұсқасы бар", "Есть новая версия полученного вами снимка"),
    "subscription.ended": ("Жазылым аяқталды", "Подписка завершена"),
}
"""Kazakh and Russian, by the kind of notice; English is the notice's own message."""
_NAMES: Final[Mapping[str, tuple[str, str, str]]] = {
    "item": ("Image", "Сурет", "Снимок"),
    "version": ("Version", "Нұсқа", "Версия"),
    "earlier_version": ("You have version", "Сізде бар нұсқа", "У вас версия"),
    "order": ("Order", "Тапсырыс", "Заказ"),
    "state": ("State", "Күйі", "Состояние"),
    "reason": ("Reason", "Себебі", "Причина"),
    "until": ("Not before", "Ерте емес", "Не раньше"),
    "km2": ("Area, km2", "Ауданы, км²", "Площадь, км²"),
    "price": ("Price", "Бағасы", "Цена"),
}
_CHANGED: Final = ("What changed", "Не өзгерді", "Что изменилось")
_PLACE: Final[Mapping[Language, int]] = {"en": 0, "kk": 1, "ru": 2}


def letter(notice: Mapping[str, Any], language: Language) -> tuple[str, str]:
    """Subject and text of a notice."""
    place, data = _PLACE[language], notice["data"]
    subject = str(notice["message"]) if language == "en" else _SUBJECTS[notice["type"]][place - 1]
    lines = [f"{subject}.", ""]
    for key, names in _NAMES.items():
        value = data.get(key)
        if value is not None:
            told = f"{value['amount']} {value['currency']}" if key == "price" else str(value)
            lines.append(f"{names[place]}: {told}")
    if data.get("changes"):
        lines += ["", f"{_CHANGED[place]}:"]
        lines += [f"  {one['property']}: {one['was']} -> {one['now']}" for one in data["changes"]]
    lines += ["", *(f"{link['href']}" for link in data["links"]), ""]
    return f"Qyran: {subject}", "\n".join(lines)
