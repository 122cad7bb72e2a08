module outside-banner

go 1.24
