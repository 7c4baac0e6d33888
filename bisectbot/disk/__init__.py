"""Room on the disks: looked at before it is needed, made where that costs nothing that matters."""
