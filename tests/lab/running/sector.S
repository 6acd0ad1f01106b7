/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest of one boot sector, which needs no kernel. It boots in seconds where the processor is
 * emulated twice, and writes to all of its disks through the BIOS.
 *
 * Sector n % SLOTS of the region from FIRST on gets 128 times the number n, on each disk in turn.
 * So a copy of one point in time has exactly the newest SLOTS numbers, and the newest numbers of
 * two disks differ by one at most (running_test.py). The serial port gets "n SECTORS" in hexadecimal for
 * each 16th number: the number, and the sectors that the first virtio disk has at that time. "E"
 * follows a failed write.
 *
 *     as --32 -o sector.o sector.S
 *     ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o sector sector.o
 */
    .set FIRST, 8
    .set SLOTS, 1024
    .set BUFFER, 0x8000
    .set DISKS, 0x475 /* number of disks, in the data area of the BIOS */
    .set SERIAL, 0x3f8

    .code16
    .globl _start
_start:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    cld
    /* The I/O ports of the first virtio disk: its capacity is at 0x14. */
    mov $0xb102, %ax
    mov $0x1001, %cx
    mov $0x1af4, %dx
    xor %si, %si
    int $0x1a
    mov $0xb10a, %ax
    mov $0x10, %di
    int $0x1a
    and $0xfffc, %cx
    add $0x14, %cx
    mov %cx, port

next:
    incl number
    mov number, %eax
    mov $BUFFER, %di
    mov $128, %cx
    rep stosl
    and $(SLOTS - 1), %eax
    add $FIRST, %eax
    mov %eax, sector
    mov $0x80, %dl
disk:
    push %dx
    mov $packet, %si
    mov $0x4300, %ax
    int $0x13
    pop %dx
    jnc written
    mov $'E', %al
    call put
written:
    inc %dl
    mov %dl, %al
    sub $0x80, %al
    cmp DISKS, %al
    jb disk

    testb $15, number
    jnz next
    mov number, %ebx
    call put_number
    mov $' ', %al
    call put
    mov port, %dx
    in %dx, %eax
    mov %eax, %ebx
    call put_number
    mov $'\n', %al
    call put
    jmp next

/* Prints EBX. */
put_number:
    mov $8, %cx
digit:
    rol $4, %ebx
    mov %bl, %al
    and $15, %al
    add $'0', %al
    cmp $'9', %al
    jbe shown
    add $('a' - '9' - 1), %al
shown:
    call put
    loop digit
    ret

/* Prints AL. */
put:
    mov $SERIAL, %dx
    out %al, %dx
    ret

number:
    .long 0
port:
    .word 0
packet: /* of the BIOS: size, sectors, address, first sector */
    .byte 16, 0
    .word 1, BUFFER, 0
sector:
    .quad 0

    .org 510
    .word 0xaa55
