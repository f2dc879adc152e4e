from datetime import date, datetime, timedelta, timezone

moment = datetime(2024, 2, 29, 13, 5, 7, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
print(moment.isoformat(), moment.astimezone(timezone.utc), moment.strftime("%A %d %B %Y %j %U"))
print(date(2024, 2, 29) + timedelta(days=366), datetime.fromisoformat("2020-01-02T03:04:05+00:00").timestamp())
print(datetime.strptime("5 Mar 2021", "%d %b %Y"), timedelta(days=-1, seconds=5), date.max - date.min)
print((datetime(2024, 1, 1) - datetime(2023, 1, 1)).total_seconds(), date(2023, 12, 31).isocalendar())
try:
    date(2023, 2, 29)
except ValueError as exc:
    print(exc)
