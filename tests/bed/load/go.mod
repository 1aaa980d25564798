module penstock.dev/bed/load

go 1.26
