/* What a bare Cortex-M4F needs before `main`: vectors, the FPU, memory; and where `printf` goes: to the debugger or emulator
 * (semihosting). A board of your own has all this already. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

extern uint32_t data_start, data_end, data_load, bss_start, bss_end, stack_top; /* target.ld */
int main(void);

/* One request (ARM "Semihosting for AArch32 and AArch64", IHI 0100). */
static uint32_t request(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

__attribute__((noreturn)) void _exit(int status)
{
    for (;;)
        request(0x18, (const void *)(status == 0 ? 0x20026u : 0x20023u)); /* SYS_EXIT: as it should, or not */
}

__attribute__((noreturn)) static void fault(void)
{
    request(0x04, "FAILED: fault\n"); /* SYS_WRITE0 */
    _exit(1);
}

__attribute__((noreturn)) static void reset(void)
{
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20; /* CPACR: the FPU may be used */
    __asm__ volatile("dsb\n isb");
    memcpy(&data_start, &data_load, (size_t)((char *)&data_end - (char *)&data_start));
    memset(&bss_start, 0, (size_t)((char *)&bss_end - (char *)&bss_start));
    const int status = main();
    fflush(stdout);
    _exit(status);
}

typedef void (*handler_t)(void);
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack_top;
    handler_t handlers[15];
} vectors = {&stack_top, {reset, fault, fault, fault, fault, fault}};

/* What newlib's `printf` asks of a system. */
int _write(int file, const char *text, int length)
{
    (void)file;
    for (int k = 0; k < length; k++)
        request(0x03, text + k); /* SYS_WRITEC */
    return length;
}

/* `printf` of a float takes a little memory; the BMS takes none. */
void *_sbrk(int more)
{
    static char *end;
    static char heap[8192];
    char *from = end ? end : heap;
    if (more > heap + sizeof heap - from)
        return (void *)-1;
    end = from + more;
    return from;
}

int _fstat(int file, struct stat *about)
{
    (void)file;
    about->st_mode = S_IFCHR;
    return 0;
}

void _kill(int process, int signal) { (void)process; (void)signal; _exit(1); } /* abort() */
int _getpid(void) { return 1; }
int _isatty(int file) { (void)file; return 1; }
int _close(int file) { (void)file; return -1; }
int _lseek(int file, int offset, int from) { (void)file; (void)offset; (void)from; return -1; }
int _read(int file, char *to, int length) { (void)file; (void)to; (void)length; return 0; }
