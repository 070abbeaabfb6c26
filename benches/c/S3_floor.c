/* Floor of a pack: S series groups of P parallel cells with two RC pairs and a spread, the current split in closed form each
   second, a thermal chain (cell to cell and to the surroundings); the voltage of the pack and of every cell is stored.
   gcc -O2 S3_floor.c -o S3_floor -lm
   argv: S P n repeats profile; the profile holds at least n currents in A for one cell, one a line.
   Prints the least and the median time of a step of one cell in ns over the repeats, then the last voltage of the pack and
   the temperature in its middle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <time.h>
static const double OC[22]={2.900,3.285,3.392,3.450,3.495,3.530,3.557,3.580,3.603,3.628,3.660,3.700,3.745,3.792,3.840,3.890,3.940,3.992,4.048,4.108,4.180,4.252};
static double *s,*v1,*v2,*T,*kq,*g0,*r0,*a1,*b1,*a2,*b2,*E,*V,*Tn; static int S,P,n; static double*cur,*VP;
__attribute__((noinline)) void pack(void){ int N=S*P; for(int t=0;t<n;t++){ double I=cur[t]*P,vp=0;
  for(int c=0;c<N;c++){ double x=s[c]*20; if(x<0)x=0; if(x>19.999)x=19.999; int k=(int)x; E[c]=OC[k]+(x-k)*(OC[k+1]-OC[k])-v1[c]-v2[c]; }
  for(int q=0;q<S;q++){ double a=0,g=0; for(int c=q*P;c<q*P+P;c++){a+=E[c]*g0[c];g+=g0[c];} double vt=(a-I)/g; vp+=vt; for(int c=q*P;c<q*P+P;c++) V[c]=vt; }
  for(int c=0;c<N;c++){ double i=(E[c]-V[c])*g0[c]; s[c]-=kq[c]*i; v1[c]=a1[c]*v1[c]+b1[c]*i; v2[c]=a2[c]*v2[c]+b2[c]*i; double q=i*i*r0[c]+v1[c]*v1[c]*100+v2[c]*v2[c]*66.7;
    double l=T[c>0?c-1:c],r=T[c<N-1?c+1:c]; Tn[c]=T[c]+(q-0.1*(T[c]-298.15)+0.5*(l+r-2*T[c]))*(1/70.0); }
  double*z=T;T=Tn;Tn=z; VP[t]=vp; } }
static int cmp(const void*a,const void*b){double q=*(double*)a-*(double*)b;return (q>0)-(q<0);}
int main(int c,char**v){ S=atoi(v[1]);P=atoi(v[2]);n=atoi(v[3]);int reps=atoi(v[4]),N=S*P; double**A[]={&s,&v1,&v2,&T,&kq,&g0,&r0,&a1,&b1,&a2,&b2,&E,&V,&Tn}; for(int k=0;k<14;k++)*A[k]=calloc(N+16,8); cur=calloc(n,8);VP=calloc(n,8); if(c<6)return 1; FILE*f=fopen(v[5],"r");if(!f)return 1;for(int t=0;t<n;t++)if(fscanf(f,"%lf",cur+t)!=1)return 1;
  double*d=calloc(reps,8); for(int r=0;r<reps;r++){ for(int k=0;k<N;k++){ double z=sin(k*12.9898)*43758.5453; z-=floor(z); z-=0.5; s[k]=0.9;v1[k]=v2[k]=0;T[k]=298.15;kq[k]=1/(18000*(1+0.02*z));r0[k]=0.02*(1+0.2*z);g0[k]=1/r0[k];a1[k]=exp(-1/20.);b1[k]=0.01*(1+.1*z)*(1-a1[k]);a2[k]=exp(-1/300.);b2[k]=0.015*(1-a2[k]); }
    struct timespec a,b; clock_gettime(CLOCK_THREAD_CPUTIME_ID,&a); pack(); clock_gettime(CLOCK_THREAD_CPUTIME_ID,&b); d[r]=(b.tv_sec-a.tv_sec)+1e-9*(b.tv_nsec-a.tv_nsec); }
  qsort(d,reps,8,cmp); printf("%.4f %.4f %.17g %.6f\n",d[0]*1e9/n/N,d[reps/2]*1e9/n/N,VP[n-1],T[N/2]); }
