module penstock.dev/bed/backend

go 1.26
